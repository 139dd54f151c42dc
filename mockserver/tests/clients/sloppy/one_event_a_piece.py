"""Takes each piece that it reads for one event."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        for data in self.pieces(response):
            yield data.decode().strip().removeprefix("data: ")


main(Sloppy)
