"""Asks again at once, whatever `Retry-After` says."""

from correct import Client, main


class Sloppy(Client):
    def pause(self, response):
        return 0.01


main(Sloppy)
