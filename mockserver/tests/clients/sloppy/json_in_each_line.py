"""Takes it that each line of data is an event."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        for line in self.lines(response):
            if line.startswith("data:"):
                yield line.removeprefix("data:").strip()


main(Sloppy)
