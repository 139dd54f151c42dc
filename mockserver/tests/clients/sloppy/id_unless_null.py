"""Takes each id that is not null."""

from correct import Client, main


class Sloppy(Client):
    def call(self, calls, call):
        super().call(calls, call)
        if call.get("id") is not None:
            calls[call["index"]]["id"] = call["id"]


main(Sloppy)
