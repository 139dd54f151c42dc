"""Shows the first word of an explanation."""

from correct import Client, main


class Sloppy(Client):
    def judgement(self, answer):
        print(answer.get("explanation", "none").split()[0].encode("utf-8"))


main(Sloppy)
