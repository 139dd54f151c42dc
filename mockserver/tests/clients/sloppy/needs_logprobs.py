"""Takes it for granted that the log probabilities which it asks for come."""

from correct import Client, main


class Sloppy(Client):
    def choice(self, choice):
        assert choice["logprobs"]["content"]


main(Sloppy)
