"""Sends `op-criteria` in the body, where nobody reads it, and goes on without an answer."""

from correct import Client, Failed, main


class Sloppy(Client):
    def more(self):
        try:
            self.ask("/chat/completions", {**self.best_body(), "headers": {"op-criteria": '["helpful"]'}})
        except Failed as error:
            print("no answer:", error)


main(Sloppy)
