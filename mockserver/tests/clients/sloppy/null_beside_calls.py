"""Takes it that content beside calls is null."""

from correct import Client, main


class Sloppy(Client):
    def calls(self, choice):
        assert choice["message"].get("content") is None


main(Sloppy)
