"""Hands an event on when the next one comes, and so drops the last one where no `[DONE]` follows."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        before = None
        for data in super().events(response):
            if before is not None:
                yield before
            before = data


main(Sloppy)
