"""Looks for usage in chunks without choices alone."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        body = {"messages": self.messages("Count to 5."), "stream_options": {"include_usage": True}}
        assert any(chunk.get("usage") for chunk in self.chunks(**body) if not chunk["choices"])


main(Sloppy)
