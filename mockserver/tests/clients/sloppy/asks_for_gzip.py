"""Asks for gzip, as browsers do, and can't unpack it."""

from correct import Client, main


class Sloppy(Client):
    def headers(self):
        return {**super().headers(), "Accept-Encoding": "gzip, deflate"}


main(Sloppy)
