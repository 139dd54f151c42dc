"""Goes on with other requests while it was told to wait."""

import time

from correct import Client, main

OTHERS = 16


class Sloppy(Client):
    def pause(self, response):
        for number in range(OTHERS):
            body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": str(number)}}
            self.open("/criteria/judge", body, {}).read()
            time.sleep(0.05)
        return super().pause(response)


main(Sloppy)
