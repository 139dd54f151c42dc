"""Finds the choices by the text before them."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        body = {"model": "openai:gpt-4o-mini", "messages": self.messages("Count to 3.")}
        text = self.send("/chat/completions", body).read()
        assert b'"choices":[' in text


main(Sloppy)
