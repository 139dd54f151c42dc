"""Retries whatever isn't a 200, a request too that was refused as wrong."""

from correct import Client, Failed, main


class Sloppy(Client):
    def is_transient(self, status):
        return status != 200

    def more(self):
        try:
            self.ask("/criteria/judge", {"criterion_id": "helpful"})
        except Failed as error:
            print("no answer:", error)


main(Sloppy)
