"""Takes it that the first call has the index 0."""

from correct import Client, main


class Sloppy(Client):
    def called(self, calls):
        assert calls[0]["id"]


main(Sloppy)
