"""How the package is said to be installed, and that no word of it names an index that doesn't have it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openpipe_mock import __version__
from openpipe_mock.core import resources
from openpipe_mock.core.resources import SOURCE, install_line
from tests.environments import ROOT, installed
from tests.live import finished, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("examples", "mockserver/openpipe_mock", "contract_tests", "schemas", ".github")
READ = {".md", ".py", ".txt", ".yml", ".yaml", ".json", ".mjs"}
TOLD = [
    *PAGES,
    ROOT / "Dockerfile",
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in READ),
]
"""Whatever a user may read."""
REQUIREMENT = re.compile(r"openpipe[-_]mock(\[[\w,]+\])?([<>=~!]=?[\w.]+)?")
LINE = re.compile(r"pip install [^\n`]*openpipe-mock[^\n`]*")


def bare(text: str) -> Iterator[str]:
    """The requirements that an index would have to have: in commands, or in lines of their own."""
    for line in text.splitlines():
        _, pip, rest = line.partition("pip install ")
        words = re.split("&&|;|`", rest)[0].split() if pip else [line.strip()]
        yield from (word for word in words if REQUIREMENT.fullmatch(word.strip("'\".,)")))


def test_nothing_tells_a_user_to_install_from_an_index() -> None:
    told = {str(path.relative_to(ROOT)): list(bare(path.read_text("utf-8"))) for path in TOLD}
    assert {path: found for path, found in told.items() if found} == {}


@pytest.mark.parametrize(
    "text",
    [
        "pip install openpipe-mock",
        "    pip install 'openpipe-mock[fixtures]'\n",
        "- run: pip install --upgrade openpipe-mock\n",
        "it needs `pip install openpipe-mock`.",
        "uv pip install openpipe_mock==0.1.0",
        "openpipe==5.0.0\nopenpipe-mock[fixtures]\n",
        "openpipe-mock>=0.1\n",
    ],
)
def test_such_a_line_is_seen(text: str) -> None:
    assert list(bare(text))


@pytest.mark.parametrize(
    "text",
    [
        f"pip install '{SOURCE}[fixtures]'",
        "pip install ../wheels/openpipe_mock-0.1.0-py3-none-any.whl[fixtures]",
        "openpipe-mock exec -- npm test",
        "openpipe-mock 0.1.0 (answers 2)",
    ],
)
def test_another_line_is_not(text: str) -> None:
    assert not list(bare(text))


def test_the_lines_of_the_pages_are_that_of_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "folder", lambda name: resources.PACKAGE / name)
    extras = ("fixtures", "contract", "record", "redis", "respx", "all")
    known = {install_line(extra).partition("  #")[0] for extra in extras} | {f"pip install {SOURCE}"}
    found = {line for page in PAGES for line in LINE.findall(page.read_text("utf-8"))}
    assert found
    assert sorted(found - known) == []


def test_the_examples_name_the_wheel_of_this_version() -> None:
    told = "".join(path.read_text("utf-8") for path in TOLD)
    assert set(re.findall(r"openpipe_mock-([\d.]+)-py3-none-any\.whl", told)) == {__version__}


def test_a_checkout_is_named_as_what_it_is() -> None:
    assert install_line("contract") == f"pip install --editable '{ROOT}[contract]'"


@pytest.mark.parametrize(("source", "line"), [
    ("/path/to/openpipe-mock", "pip install '/path/to/openpipe-mock[redis]'  # a checkout or a built wheel"),
    ("openpipe-mock", "pip install 'openpipe-mock[redis]'"),
])  # fmt: skip
def test_an_installed_package_names_its_source(
    source: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "folder", lambda name: resources.PACKAGE / name)
    monkeypatch.setattr(resources, "SOURCE", source)
    assert install_line("redis") == line


# The import name.


def test_no_code_says_the_name_of_the_source_folder_as_that_of_a_package() -> None:
    folders = ("mockserver", "contract_tests", "benchmarks", "docs", "examples", "schemas")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    files = [path for path in files if path.suffix in READ | {".ini"} and path != Path(__file__)]
    files += [ROOT / name for name in ("Makefile", "pyproject.toml", "README.md", "Dockerfile")]
    said = re.compile(r"\bmockserver\.[a-z_]|\b(?:import|from) mockserver\b")
    assert len(files) > 300
    assert [path for path in files if said.search(path.read_text("utf-8", "replace"))] == []


BESIDE = """
import mockserver


def test_with_both(openpipe_mock, request):
    assert mockserver.MockServerClient
    assert request._fixturemanager.getfixturedefs("mockserver", request.node)
    openpipe_mock.criterion("helpful").score(0.7)
"""


@pytest.mark.slow
def test_beside_the_distribution_that_owns_the_name_mockserver_both_work(tmp_path: Path) -> None:
    """PyPI's mockserver-client has a pytest plugin too, and no command."""
    (tmp_path / "test_with_both.py").write_text(BESIDE)
    done = finished([installed("mockserver-client", "python"), "-m", "pytest", "-q"], cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    told = run([installed("mockserver-client", "openpipe-mock"), "--version"])
    assert told.split()[:2] == ["openpipe-mock", __version__]
