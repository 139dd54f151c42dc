"""Takes it for granted that each chunk has a choice."""

from correct import Client, main


class Sloppy(Client):
    def choices(self, chunk):
        return [chunk["choices"][0]]


main(Sloppy)
