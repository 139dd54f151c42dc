"""Keeps answers by their ids."""

from correct import Client, main


class Sloppy(Client):
    def completion(self, answer):
        assert answer["id"]


main(Sloppy)
