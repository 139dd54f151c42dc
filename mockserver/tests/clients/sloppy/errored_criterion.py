"""Takes it for granted that each criterion has a score."""

from correct import Client, main


class Sloppy(Client):
    def results(self, results):
        print({name: result["score"] for name, result in results.items()})


main(Sloppy)
