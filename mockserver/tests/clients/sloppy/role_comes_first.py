"""Takes it for granted that the first delta of a stream says the role."""

from correct import Client, main


class Sloppy(Client):
    first = True

    def piece(self, choice):
        if self.first:
            assert choice["delta"]["role"] == "assistant"
        self.first = False
        return super().piece(choice)


main(Sloppy)
