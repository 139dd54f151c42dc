"""Takes an id wherever there is one."""

from correct import Client, main


class Sloppy(Client):
    def call(self, calls, call):
        super().call(calls, call)
        if "id" in call:
            calls[call["index"]]["id"] = call["id"]


main(Sloppy)
