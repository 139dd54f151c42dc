"""Sends the key in the URL too."""

from correct import Client, main


class Sloppy(Client):
    def path(self, endpoint):
        return f"{super().path(endpoint)}?api_key={self.key}"


main(Sloppy)
