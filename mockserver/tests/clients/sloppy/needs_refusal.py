"""Takes it for granted that `refusal` is there, if only as null."""

from correct import Client, main


class Sloppy(Client):
    def choice(self, choice):
        assert choice["message"]["refusal"] is None


main(Sloppy)
