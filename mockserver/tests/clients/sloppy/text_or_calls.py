"""Takes a message with content for one without calls."""

from correct import Client, main


class Sloppy(Client):
    def calls(self, choice):
        if choice["message"].get("content"):
            raise ValueError("the model answered, and called no tool")


main(Sloppy)
