"""Keeps scores as texts of at most six characters."""

from correct import Client, main


class Sloppy(Client):
    def judgement(self, answer):
        assert len(str(answer["score"])) <= 6


main(Sloppy)
