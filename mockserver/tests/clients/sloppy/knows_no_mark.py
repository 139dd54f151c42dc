"""Takes it that a stream begins with data."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        lines = list(self.lines(response))
        assert lines[0].startswith("data:")
        return (line.removeprefix("data:").strip() for line in lines if line)


main(Sloppy)
