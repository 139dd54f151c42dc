"""Looks for the message of an error only where OpenAI has it."""

from correct import Client, main


class Sloppy(Client):
    def reason(self, error):
        return error["error"]["message"]


main(Sloppy)
