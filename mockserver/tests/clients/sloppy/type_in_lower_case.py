"""Looks for a content type in lower case."""

from correct import Client, main


class Sloppy(Client):
    def open(self, endpoint, body, headers):
        response = super().open(endpoint, body, headers)
        assert (
            "json" in response.headers["content-type"] or "event-stream" in response.headers["content-type"]
        )
        return response


main(Sloppy)
