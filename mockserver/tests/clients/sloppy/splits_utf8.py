"""Decodes each piece by itself, as if no character were ever in two of them."""

from correct import Client, main


class Sloppy(Client):
    def texts(self, response):
        return (piece.decode("utf-8") for piece in self.pieces(response))


main(Sloppy)
