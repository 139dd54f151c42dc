"""Sends a member that the contract doesn't know, and never looks whether it counts."""

from correct import Client, main


class Sloppy(Client):
    def judge_body(self):
        return {**super().judge_body(), "temprature": 0}


main(Sloppy)
