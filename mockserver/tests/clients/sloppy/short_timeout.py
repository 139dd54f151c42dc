"""Waits a second for the first chunk."""

import http.client
import json

from correct import Client, main


class Sloppy(Client):
    def more(self):
        connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=1)
        body = {"model": "openai:gpt-4o-mini", "messages": self.messages("Hi"), "stream": True}
        connection.request("POST", self.path("/chat/completions"), json.dumps(body), self.headers())
        connection.getresponse().read()

    def scenes(self):
        return (self.more,)


main(Sloppy)
