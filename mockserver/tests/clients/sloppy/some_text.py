"""Takes it that there is always a text."""

from correct import Client, main


class Sloppy(Client):
    def streamed(self, text, finish):
        assert text


main(Sloppy)
