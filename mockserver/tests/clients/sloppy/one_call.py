"""Takes it that a model calls one tool at a time."""

from correct import Client, main


class Sloppy(Client):
    def tools_body(self):
        return {**super().tools_body(), "tool_choice": "auto"}

    def calls(self, choice):
        [call] = choice["message"]["tool_calls"]
        self.arguments(call["function"]["arguments"])


main(Sloppy)
