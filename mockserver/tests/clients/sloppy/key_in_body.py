"""Sends the key in the body too."""

from correct import Client, main


class Sloppy(Client):
    def best_body(self):
        return {**super().best_body(), "metadata": {"api_key": self.key}}


main(Sloppy)
