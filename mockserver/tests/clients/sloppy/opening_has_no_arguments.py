"""Takes it that the opening of a call has no arguments."""

from correct import Client, main


class Sloppy(Client):
    def call(self, calls, call):
        if call.get("id"):
            calls[call["index"]] = {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
        else:
            super().call(calls, call)


main(Sloppy)
