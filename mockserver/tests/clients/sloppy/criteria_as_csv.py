"""Sends `op-criteria` as a list with commas, and goes on without an answer."""

from correct import Client, Failed, main


class Sloppy(Client):
    def more(self):
        try:
            self.ask("/chat/completions", self.best_body(), {"op-criteria": "helpful,polite"})
        except Failed as error:
            print("no answer:", error)


main(Sloppy)
