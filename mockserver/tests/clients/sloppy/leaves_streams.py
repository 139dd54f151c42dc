"""Hangs up as soon as it has seen enough of a stream."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        body = {"model": "gpt-4o-mini", "messages": self.messages("Go on."), "stream": True}
        response = self.send("/chat/completions", body, {"x-mock-fault": "endless"})
        assert response.read1(100)
        response.close()


main(Sloppy)
