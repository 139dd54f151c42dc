"""Takes an event with a name for none of its own."""

from correct import Client, main


class Sloppy(Client):
    def lines(self, response):
        for line in super().lines(response):
            assert not line.startswith("event:")
            yield line


main(Sloppy)
