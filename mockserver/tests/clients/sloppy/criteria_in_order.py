"""Takes the first result for that of the criterion that comes first by name."""

from correct import CRITERIA, Client, main


class Sloppy(Client):
    def results(self, results):
        assert list(results) == sorted(CRITERIA)


main(Sloppy)
