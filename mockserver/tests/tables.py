"""Reading tables out of Markdown pages."""

from collections.abc import Iterator

Row = dict[str, str]


def rows(text: str) -> Iterator[Row]:
    """The rows of the first table in a text: column → cell."""
    lines = iter(text.splitlines())
    columns = next(cells(line) for line in lines if line.startswith("|"))
    for line in lines:
        if not line.startswith("|"):
            return
        if not line.startswith("| ---"):
            yield dict(zip(columns, cells(line), strict=True))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
