"""Reads as many bytes as the header announces."""

from correct import Client, main


class Sloppy(Client):
    def ask(self, endpoint, body, headers=None):
        self.send(endpoint, body, headers).read(
            int(self.send(endpoint, body, headers).headers["content-length"])
        )
        return super().ask(endpoint, body, headers)


main(Sloppy)
