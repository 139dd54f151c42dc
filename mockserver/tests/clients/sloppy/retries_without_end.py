"""Asks eight times for what fails each time."""

import correct


class Sloppy(correct.Client):
    def more(self):
        correct.ATTEMPTS = 8
        body = {"model": "mock-status-500", "messages": self.messages("Hello")}
        assert self.send("/chat/completions", body).status == 500

    def pause(self, response):
        return 0.01


correct.main(Sloppy)
