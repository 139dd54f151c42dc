"""Reads a text out of JSON and takes it as it stands."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        body = {"model": "openai:gpt-4o-mini", "messages": self.messages("Count to 3.")}
        text = self.send("/chat/completions", body).read()
        assert b"\\" not in text.split(b'"content":"')[1].split(b'"')[0]


main(Sloppy)
