"""Reads a stream into a buffer of a fixed size, and no further."""

from correct import Client, main


class Sloppy(Client):
    def pieces(self, response):
        yield response.read(8192)
        response.read()


main(Sloppy)
