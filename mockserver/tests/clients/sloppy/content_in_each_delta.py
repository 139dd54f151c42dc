"""Takes it that each delta has content until the end."""

from correct import Client, main


class Sloppy(Client):
    def piece(self, choice):
        return "" if choice["finish_reason"] else choice["delta"]["content"] or ""


main(Sloppy)
