"""Decodes as the header says, and as Latin-1 where it says nothing."""

from correct import Client, main


class Sloppy(Client):
    def lines(self, response):
        charset = response.headers.get_content_charset() or "latin-1"
        return response.read().decode(charset).splitlines()


main(Sloppy)
