"""Takes it that a message without calls has content."""

from correct import Client, main


class Sloppy(Client):
    def choice(self, choice):
        print(choice["message"]["content"].strip().encode("utf-8"))


main(Sloppy)
