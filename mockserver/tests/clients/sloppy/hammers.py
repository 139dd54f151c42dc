"""Sends other requests while it was told to wait."""

from correct import Client, main


class Sloppy(Client):
    def pause(self, response):
        for number in range(5):
            body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": str(number)}}
            self.open("/criteria/judge", body, {}).read()
        return super().pause(response)


main(Sloppy)
