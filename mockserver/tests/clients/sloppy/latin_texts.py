"""Writes answers into a file for Western Europe."""

from correct import Client, main


class Sloppy(Client):
    def choice(self, choice):
        choice["message"]["content"].encode("cp1252")


main(Sloppy)
