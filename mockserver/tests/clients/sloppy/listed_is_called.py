"""Takes a delta that lists calls for one of calls."""

from correct import Client, main


class Sloppy(Client):
    def piece(self, choice):
        return "" if "tool_calls" in choice["delta"] else super().piece(choice)


main(Sloppy)
