"""Knows the content type of JSON without a charset alone."""

from correct import Client, main


class Sloppy(Client):
    def open(self, endpoint, body, headers):
        response = super().open(endpoint, body, headers)
        assert body.get("stream") or response.headers["content-type"] == "application/json"
        return response


main(Sloppy)
