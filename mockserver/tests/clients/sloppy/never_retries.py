"""Takes a 429 for the end."""

from correct import Client, main


class Sloppy(Client):
    def is_transient(self, status):
        return status != 429 and super().is_transient(status)


main(Sloppy)
