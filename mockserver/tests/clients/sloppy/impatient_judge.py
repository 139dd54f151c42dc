"""Waits a second for a judgement."""

import http.client
import json

from correct import Client, main


class Sloppy(Client):
    def more(self):
        connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=1)
        body = json.dumps(self.judge_body())
        connection.request("POST", self.path("/criteria/judge"), body, self.headers())
        connection.getresponse().read()

    def scenes(self):
        return (self.more,)


main(Sloppy)
