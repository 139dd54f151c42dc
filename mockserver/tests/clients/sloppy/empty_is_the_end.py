"""Takes an empty piece of text for the end."""

from correct import Client, main


class Sloppy(Client):
    begun = ended = False

    def piece(self, choice):
        content = choice["delta"].get("content")
        self.ended = self.ended or (self.begun and content == "")
        self.begun = self.begun or bool(content)
        return "" if self.ended else content or ""

    def streamed(self, text, finish):
        assert "20" in text


main(Sloppy)
