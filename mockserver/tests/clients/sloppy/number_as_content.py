"""Sends a number for a text, and goes on without an answer."""

from correct import Client, Failed, main


class Sloppy(Client):
    def more(self):
        try:
            self.ask("/chat/completions", {"model": "gpt-4o-mini", "messages": self.messages(42)})
        except Failed as error:
            print("no answer:", error)


main(Sloppy)
