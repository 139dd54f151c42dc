"""Takes it that a delta with a role has no text yet."""

from correct import Client, main


class Sloppy(Client):
    def piece(self, choice):
        return "" if choice["delta"].get("content") and len(choice["delta"]) > 2 else super().piece(choice)


main(Sloppy)
