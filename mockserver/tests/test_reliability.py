"""The page of promises: each names its tests, and each of these tests is there."""

import re

import pytest

from tests.environments import ROOT, TESTS

PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_the_page_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^ *(?:async )?def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE)


def test_each_row_of_the_page_names_a_test() -> None:
    promised = PAGE.partition("## How much of it runs")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if "---" not in row and not row.endswith("| test |")]
    assert len(promises) > 50
    assert all(row.rstrip(" |").endswith("`") and "::test_" in row for row in promises)


def test_the_page_names_all_who_may_attack() -> None:
    attackers = re.findall(r"^\| ([^|]+?) \|", PAGE.partition("## Who may attack")[2], re.MULTILINE)
    for each in (
        "a web page of",
        "another user of",
        "a server under `contract`",
        "a config file",
        "a client under",
    ):
        assert any(attacker.startswith(each) for attacker in attackers), each
