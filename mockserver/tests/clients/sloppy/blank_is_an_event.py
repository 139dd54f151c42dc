"""Takes each blank line for the end of an event with data."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        data = ""
        for line in self.lines(response):
            if not line:
                yield data
                data = ""
            elif line.startswith("data:"):
                data = line.removeprefix("data:").strip()


main(Sloppy)
