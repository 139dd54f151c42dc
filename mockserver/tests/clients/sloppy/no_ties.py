"""Takes it for granted that one choice is better than the others."""

from correct import Client, main


class Sloppy(Client):
    def ranking(self, choices):
        first, second, *_ = map(self.total, choices)
        assert first > second


main(Sloppy)
