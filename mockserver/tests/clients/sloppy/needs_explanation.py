"""Takes it for granted that each score is explained."""

from correct import Client, main


class Sloppy(Client):
    def judgement(self, answer):
        assert answer["explanation"]


main(Sloppy)
