"""Finds an argument by the text before it."""

from correct import Client, main


class Sloppy(Client):
    def arguments(self, text):
        assert text.index('"city":"') > 0


main(Sloppy)
