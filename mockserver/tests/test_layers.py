"""The table of layers in docs/architecture.md, held against what the modules import."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mockserver" / "openpipe_mock"
DOCUMENT = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"\|\s*(?P<layer>\d+)\s*\|(?P<modules>[^|]*)\|")
OUTSIDE_WORLD = {"asyncio", "anyio", "httpx", "random", "secrets", "socket", "starlette", "time", "uvicorn"}


def modules() -> list[str]:
    """Every module of the package, without its tests."""
    return sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@cache
def table() -> tuple[tuple[str, ...], ...]:
    """The modules of each row, from the top."""
    rows = ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))
    return tuple(tuple(re.findall(r"`(\w+)`", row["modules"])) for row in rows)


def allowed(module: str) -> set[str]:
    """What a module may import: the rows above its own, and what stands to its left."""
    number, row = next((number, row) for number, row in enumerate(table()) if module in row)
    above = {name for higher in table()[:number] for name in higher}
    return above | set(row[: row.index(module)])


def imported(source: str) -> Iterator[str]:
    """The modules of the package that a source text imports, wherever and however it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from members(node)
        elif isinstance(node, ast.Import):
            yield from (
                name.name.split(".")[1] for name in node.names if name.name.startswith("openpipe_mock.")
            )


def members(node: ast.ImportFrom) -> Iterator[str]:
    origin = ".".join(filter(None, ("openpipe_mock" if node.level else "", node.module)))
    if origin == "openpipe_mock":
        yield from (name.name for name in node.names if not name.name.startswith("__"))
    elif origin.startswith("openpipe_mock."):
        yield origin.split(".")[1]


def foreign(source: str) -> set[str]:
    """The packages outside this one that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def source_of(module: str) -> str:
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def test_the_table_is_found_and_numbered_from_the_top() -> None:
    numbers = [int(row["layer"]) for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 5


def test_every_module_stands_in_the_table_once_and_nothing_else_does() -> None:
    named = [name for row in table() for name in row]
    assert sorted(set(modules()) - set(named)) == [], "modules that the table lacks"
    assert sorted(set(named) - set(modules())) == [], "names in the table without a module"
    assert sorted(name for name in set(named) if named.count(name) > 1) == [], "modules in two places"


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_stands_above_it_or_to_its_left(module: str) -> None:
    assert any(module in row for row in table()), f"the table in docs/architecture.md lacks {module}"
    assert sorted(set(imported(source_of(module))) - allowed(module)) == []


@pytest.mark.parametrize("module", modules())
def test_what_lies_below_the_seam_knows_no_framework_socket_or_clock(module: str) -> None:
    """The service and all that it may import; adapters and whatever else is above are free."""
    if module == "service" or module in allowed("service"):
        assert sorted(foreign(source_of(module)) & OUTSIDE_WORLD) == []


def test_no_module_of_the_package_imports_its_tests() -> None:
    assert [module for module in modules() if "tests" in imported(source_of(module))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import openpipe_mock.server.asgi",
        "import os, openpipe_mock.server.asgi as application",
        "from openpipe_mock import app",
        "from openpipe_mock.server.asgi import create_app",
        "from . import app",
        "from .app import create_app",
        "def late():\n    from openpipe_mock import app",
        "if True:\n    import openpipe_mock.server.asgi",
    ],
)
def test_an_import_is_seen_in_every_form(source: str) -> None:
    assert list(imported(source)) == ["app"]


@pytest.mark.parametrize(
    "source", ["from openpipe_mock import __version__", "import os", "from os import app"]
)
def test_what_is_no_import_of_a_module_is_not_taken_for_one(source: str) -> None:
    assert list(imported(source)) == []
