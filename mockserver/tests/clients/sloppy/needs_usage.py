"""Takes it for granted that tokens are counted."""

from correct import Client, main


class Sloppy(Client):
    def completion(self, answer):
        print(answer["usage"]["total_tokens"])


main(Sloppy)
