"""Looks for calls only where finish_reason is `tool_calls`."""

from correct import Client, main


class Sloppy(Client):
    def calls(self, choice):
        assert choice["finish_reason"] == "tool_calls"


main(Sloppy)
