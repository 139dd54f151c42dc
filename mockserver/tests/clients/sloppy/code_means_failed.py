"""Takes a result with an errorCode for a failed one."""

from correct import Client, main


class Sloppy(Client):
    def results(self, results):
        assert not any("errorCode" in result for result in results.values())


main(Sloppy)
