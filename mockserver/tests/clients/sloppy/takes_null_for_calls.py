"""Takes the member `tool_calls` for the sign that tools are called."""

from correct import Client, main


class Sloppy(Client):
    def choice(self, choice):
        if "tool_calls" in choice["message"]:
            print([call["id"] for call in choice["message"]["tool_calls"]])


main(Sloppy)
