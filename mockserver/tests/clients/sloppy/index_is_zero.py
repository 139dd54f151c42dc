"""Takes the choice with index 0 for the best one."""

from correct import Client, main


class Sloppy(Client):
    def first_choice(self, choices):
        assert choices[0]["index"] == 0
        return choices[0]


main(Sloppy)
