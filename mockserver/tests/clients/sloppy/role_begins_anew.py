"""Takes each role in a stream for the beginning of another message."""

from correct import Client, main


class Sloppy(Client):
    messages_begun = 0

    def piece(self, choice):
        self.messages_begun += choice["delta"].get("role") is not None
        assert self.messages_begun < 2
        return super().piece(choice)


main(Sloppy)
