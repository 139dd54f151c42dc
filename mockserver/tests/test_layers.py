"""The table of rooms in docs/architecture.md, held against what the modules import."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from tests.environments import ROOT
from tests.structure import PACKAGE, depth, folders, imported, longest_chain, modules, repeated_names

DOCUMENT = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| `(?P<room>\w+)/` \|(?P<duty>[^|\n]*)\|(?P<imports>[^|\n]*)\|", re.MULTILINE)
DOORS = {"__main__", "edits", "pytest_plugin", "strategies"}
"""The modules at the top of the package, beside `__init__`."""
OUTSIDE_WORLD = {"asyncio", "anyio", "httpx", "random", "secrets", "socket", "starlette", "time", "uvicorn"}
DEEPEST, DEEPEST_INSIDE = 16, 4
"""How many imports may lead from one module to another, and inside a folder."""
SHARED = {"Json", "places", "pytest_configure", "pytest_plugins", "pytest_runtest_makereport"}
"""Names that mean the same wherever they stand: of each client library's module, and of pytest."""


@cache
def table() -> Mapping[str, frozenset[str]]:
    """Room → the rooms that it may import, in the table's order."""
    allowed: dict[str, frozenset[str]] = {}
    for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8")):
        above = frozenset(allowed)
        named = frozenset(re.findall(r"`(\w+)`", row["imports"]))
        allowed[row["room"]] = above if "all above" in row["imports"] else named
    return allowed


def rooms() -> list[str]:
    return sorted({module.room for module in modules().values()} - {""})


def room_of(name: str) -> str:
    """The room of a module by its dotted name, "" for a door."""
    return name.partition(".")[0] if name.partition(".")[0] in rooms() else ""


def foreign(source: str) -> set[str]:
    """The packages outside this one that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def below_the_seam() -> Iterator[str]:
    """The modules of the service and of all rooms that it may import."""
    free = table()["service"] | {"service"}
    inside = (name for name, module in modules().items() if module.room in free and ".redis." not in name)
    yield from (name for name in inside if name != "core.reasons")  # it only tells their errors apart


def test_the_table_names_every_room_once() -> None:
    assert sorted(table()) == rooms()


def test_a_room_may_import_only_rooms_that_stand_above_it() -> None:
    order = list(table())
    for room, allowed in table().items():
        assert allowed <= set(order[: order.index(room)]), room


def test_at_the_top_of_the_package_stand_only_doors() -> None:
    assert {name for name, module in modules().items() if not module.room} <= DOORS


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_what_its_row_names(room: str) -> None:
    for name, module in modules().items():
        if module.room == room:
            others = {room_of(each) for each in imported(module.text)} - {room}
            assert sorted(others - table()[room]) == [], name


@pytest.mark.parametrize("room", rooms())
def test_a_room_says_its_duty_in_its_first_line(room: str) -> None:
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    assert str(ast.get_docstring(ast.parse(text))).partition("\n")[0].endswith(".")


def test_only_its_own_folder_knows_of_redis() -> None:
    outside = {
        name
        for name, module in modules().items()
        if not name.startswith("sessions.redis.")
        and any(".redis." in f"{each}." for each in imported(module.text))
    }
    assert outside <= {"server.server"}
    naming = {name for name, module in modules().items() if "redis" in module.text.lower()}
    naming = {name for name in naming if not name.startswith("sessions.redis.")}
    assert naming == {"cli.serve", "core.errors", "server.server", "sessions.memory"}


def test_what_lies_below_the_seam_knows_no_framework_socket_or_clock() -> None:
    for name in below_the_seam():
        assert sorted(foreign(modules()[name].text) & OUTSIDE_WORLD) == [], name


@pytest.mark.slow
def test_no_module_of_the_package_imports_tests_or_the_suite() -> None:
    for name, module in modules().items():
        assert not foreign(module.text) & {"tests", "contract_tests"}, name
        assert not any(each.startswith("contract_tests") for each in imported(module.text)), name


def test_imports_are_no_deeper_than_promised() -> None:
    assert depth() <= DEEPEST, longest_chain()


@pytest.mark.parametrize("folder", folders())
def test_imports_inside_a_folder_are_no_deeper_than_promised(folder: str) -> None:
    assert depth(inside=folder) <= DEEPEST_INSIDE, longest_chain(inside=folder)


def test_a_public_name_has_one_meaning() -> None:
    assert set(repeated_names()) - SHARED == set()


@pytest.mark.parametrize(
    "source",
    [
        "import openpipe_mock.server.asgi",
        "import os, openpipe_mock.server.asgi as application",
        "from openpipe_mock.server import asgi",
        "from openpipe_mock.server.asgi import create_app",
        "def late():\n    from openpipe_mock.server import asgi",
        "if True:\n    import openpipe_mock.server.asgi",
    ],
)
def test_an_import_is_seen_in_every_form(source: str) -> None:
    assert list(imported(source)) == ["server.asgi"]


@pytest.mark.parametrize(
    "source", ["from openpipe_mock import __version__", "import os", "from os import asgi"]
)
def test_what_is_no_import_of_a_module_is_not_taken_for_one(source: str) -> None:
    assert list(imported(source)) == []


def test_only_what_runs_at_import_counts_at_the_top_level() -> None:
    late = "def late():\n    import openpipe_mock.server.asgi\n"
    typing = "if TYPE_CHECKING:\n    import openpipe_mock.control.api\n"
    assert list(imported(f"{late}{typing}import openpipe_mock.core.errors", top_level=True)) == [
        "core.errors"
    ]


# The recipes at the end of the document.

RECIPES = (
    "An endpoint",
    "A score form",
    "A fault kind",
    "A check of the suite",
    "A config key",
    "An HTTP client",
)
STEP = re.compile(r"^\d\. `(?P<place>[\w./-]+)`: ((?:.|\n {3})*)", re.MULTILINE)


def recipes() -> Mapping[str, str]:
    """Heading → text of each recipe."""
    *_, end = DOCUMENT.read_text("utf-8").partition("## Six changes and their files\n")
    heads, texts = zip(*(part.split("\n", 1) for part in end.split("\n### ")[1:]), strict=True)
    return dict(zip(heads, texts, strict=True))


def test_the_document_ends_in_six_recipes() -> None:
    assert [head.startswith(name) for head, name in zip(recipes(), RECIPES, strict=True)] == [True] * 6


@pytest.mark.parametrize("head", recipes())
def test_the_files_of_a_recipe_exist_and_have_what_it_names(head: str) -> None:
    steps = list(STEP.finditer(recipes()[head]))
    assert steps
    for step in steps:
        place = step["place"]
        path = ROOT / place if "." in place else PACKAGE / f"{place}.py"
        text = path.read_text("utf-8")
        for name in re.findall(r"`([A-Z_]{5,}|[A-Z][a-z]+[A-Za-z]*)`", step[0]):
            assert name in text, f"{name} in {place}"
