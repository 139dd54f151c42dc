"""docs/config.md, taken at its word: its table has every key, and each of its blocks does what it says."""

import json
import re
from itertools import pairwise

import pytest
from click.testing import CliRunner

from openpipe_mock.cli.main import main
from openpipe_mock.config.file import ConfigError, read_config, schema
from openpipe_mock.openapi.violations import declarations
from tests.environments import ROOT
from tests.markdown import Block, blocks, section

PAGE = (ROOT / "docs" / "config.md").read_text("utf-8")
ROW = re.compile(
    r"^\| `(?P<key>[^`]+)` \| (?P<type>[^|]+) \| (?P<default>[^|]*) \| (?P<meaning>[^|]+) \|$", re.M
)
ROWS = {row["key"]: row for row in ROW.finditer(section(PAGE, "## Every key"))}
DECLARED = dict(declarations(schema()))
BLOCKS = list(blocks(PAGE))


def test_the_table_has_every_key_of_the_schema_and_no_other() -> None:
    assert sorted(ROWS) == sorted(DECLARED)
    assert len(ROWS) == section(PAGE, "## Every key").count("\n| `")


def test_a_shared_object_stands_in_the_table_once() -> None:
    assert "completions.*.when.last_user.matches" in ROWS
    assert not any(key.startswith(("faults.*.when.", "completions.*.choices.")) for key in ROWS)


@pytest.mark.parametrize("key", DECLARED)
def test_a_row_says_the_default_that_the_schema_says(key: str) -> None:
    default = DECLARED[key].get("default", "")
    told = default if isinstance(default, str) else json.dumps(default)
    assert ROWS[key]["default"].strip() == (f"`{told}`" if "default" in DECLARED[key] else "")


@pytest.mark.parametrize("key", DECLARED)
def test_a_row_names_each_word_that_may_stand_there(key: str) -> None:
    for word in DECLARED[key].get("enum", ()):
        assert f"`{word}`" in ROWS[key]["type"]


@pytest.mark.parametrize("key", [key for key, member in DECLARED.items() if "maximum" in member])
def test_a_row_says_both_bounds_of_a_number(key: str) -> None:
    assert f"{DECLARED[key]['minimum']}..{DECLARED[key]['maximum']}" in ROWS[key]["type"]


def outputs() -> list[tuple[Block, Block]]:
    """The files that are shown with what is wrong with them."""
    return [
        (file, told) for file, told in pairwise(BLOCKS) if (file.language, told.language) == ("yaml", "text")
    ]


def test_the_files_with_mistakes_are_refused_in_the_words_of_the_page() -> None:
    assert len(outputs()) == 2
    for file, told in outputs():
        with pytest.raises(ConfigError) as caught:
            read_config(file.code.encode())
        assert f"{caught.value}\n" == told.code


def test_all_other_yaml_is_read() -> None:
    bad = [file for file, _ in outputs()]
    good = [block for block in BLOCKS if block.language == "yaml" and block not in bad]
    assert len(good) == 6
    for block in good:
        read_config(block.code.encode())


def test_each_command_of_the_page_exists() -> None:
    [console] = [block for block in BLOCKS if block.language == "console"]
    commands = re.findall(r"^openpipe-mock (config \w+)", console.code, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert CliRunner().invoke(main, [*command.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("heading", "definition"),
    [("## Scores", "form"), ("## Scripted answers", "script"), ("## Faults", "fault")],
)
def test_a_section_names_each_key_of_what_it_describes(heading: str, definition: str) -> None:
    for key in schema()["$defs"][definition]["properties"]:
        assert re.search(rf"\b{key}\b", section(PAGE, heading)), key
