"""Retries a 429, and takes a 503 for the end."""

from correct import Client, main


class Sloppy(Client):
    def is_transient(self, status):
        return status == 429


main(Sloppy)
