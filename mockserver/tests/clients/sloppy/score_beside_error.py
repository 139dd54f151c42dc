"""Takes a score for the sign that a criterion was judged."""

from correct import Client, main


class Sloppy(Client):
    def results(self, results):
        for result in results.values():
            if "score" in result:
                assert result["explanation"]


main(Sloppy)
