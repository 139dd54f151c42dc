"""Looks at the first choice of each chunk alone."""

from correct import Client, main


class Sloppy(Client):
    def more(self):
        texts = {}
        for chunk in self.chunks(messages=self.messages("Count to 5."), n=2):
            for choice in chunk["choices"][:1]:
                texts[choice["index"]] = texts.get(choice["index"], "") + self.piece(choice)
        assert all(texts[number] for number in range(2))


main(Sloppy)
