"""Joins the pieces of a name as those of arguments."""

from correct import Client, main


class Sloppy(Client):
    def call(self, calls, call):
        known = calls.get(call["index"], {"name": ""})["name"]
        super().call(calls, call)
        calls[call["index"]]["name"] = known + (call["function"].get("name") or "")


main(Sloppy)
