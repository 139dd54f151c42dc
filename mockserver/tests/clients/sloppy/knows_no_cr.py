"""Ends lines at LF and CR LF alone."""

from correct import Client, main


class Sloppy(Client):
    def lines(self, response):
        yield from "".join(self.texts(response)).replace("\r\n", "\n").split("\n")

    def at_end(self, data):
        pass


main(Sloppy)
