"""Splits events at two line feeds and knows no other line ends."""

from correct import Client, main


class Sloppy(Client):
    def events(self, response):
        rest = ""
        for text in self.texts(response):
            *events, rest = (rest + text).split("\n\n")
            yield from (event.removeprefix("data: ") for event in events if event.startswith("data: "))
        assert not rest


main(Sloppy)
