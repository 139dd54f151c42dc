"""Refuses members that it doesn't know."""

from correct import Client, main

KNOWN = {"id", "object", "created", "model", "choices", "usage"}


class Sloppy(Client):
    def completion(self, answer):
        assert set(answer) <= KNOWN


main(Sloppy)
