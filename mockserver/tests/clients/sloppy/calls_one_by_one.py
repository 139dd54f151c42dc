"""Gives each piece to the call that was opened last."""

from correct import Client, main


class Sloppy(Client):
    def tools_body(self):
        return {**super().tools_body(), "tool_choice": "auto"}

    def call(self, calls, call):
        index = len(calls) if call.get("id") else len(calls) - 1
        super().call(calls, {**call, "index": index})


main(Sloppy)
