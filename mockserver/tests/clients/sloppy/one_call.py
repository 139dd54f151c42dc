"""Takes it that a model calls one tool at a time."""

from correct import Client, main


class Sloppy(Client):
    def calls(self, choice):
        [call] = choice["message"]["tool_calls"]
        self.arguments(call["function"]["arguments"])


main(Sloppy)
