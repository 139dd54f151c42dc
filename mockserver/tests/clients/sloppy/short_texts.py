"""Has room for texts of 32 KiB."""

from correct import Client, main


class Sloppy(Client):
    def streamed(self, text, finish):
        assert len(text.encode()) <= 32_768


main(Sloppy)
