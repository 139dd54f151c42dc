"""Reads no content in the chunk that ends a choice."""

from correct import Client, main


class Sloppy(Client):
    said = ""

    def piece(self, choice):
        if choice.get("finish_reason"):
            assert not choice["delta"], "text was lost"
        return super().piece(choice)


main(Sloppy)
