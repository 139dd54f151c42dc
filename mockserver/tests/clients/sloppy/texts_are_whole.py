"""Takes each text for whole."""

from correct import Client, main


class Sloppy(Client):
    def streamed(self, text, finish):
        assert text.rstrip().endswith((".", "!", "?"))


main(Sloppy)
