"""Knows data only with a space behind its colon."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        for line in self.lines(response):
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


main(Sloppy)
