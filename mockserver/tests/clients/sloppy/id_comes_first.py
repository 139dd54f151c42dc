"""Knows a completion by its first member."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        body = {"model": "openai:gpt-4o-mini", "messages": self.messages("Count to 3.")}
        text = self.send("/chat/completions", body).read()
        assert text.startswith(b'{"id"')


main(Sloppy)
