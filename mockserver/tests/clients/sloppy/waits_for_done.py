"""Takes a stream without `[DONE]` for a broken one."""

from correct import Client, main


class Sloppy(Client):
    def at_end(self, data):
        raise AssertionError("the stream ended without [DONE]")


main(Sloppy)
