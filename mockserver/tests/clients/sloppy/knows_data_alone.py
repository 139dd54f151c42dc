"""Takes it that an event has data and nothing else."""

from correct import Client, main


class Sloppy(Client):
    def lines(self, response):
        for line in super().lines(response):
            assert line.startswith((":", "data:")) or not line
            yield line


main(Sloppy)
