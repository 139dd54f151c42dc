"""Takes each line that isn't blank for data."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        for line in self.lines(response):
            if line:
                yield line.removeprefix("data: ")


main(Sloppy)
