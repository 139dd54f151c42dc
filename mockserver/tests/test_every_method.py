"""Every public method of the provider's clients, unmodified, against a running mock.

In process: `clients/python-fixtures-openpipe/check_every_method.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chatclients import CLIENTS, Json, node, surroundings
from tests.environments import ROOT, installed
from tests.live import Live, run, serving
from tests.markdown import blocks, section

pytestmark = pytest.mark.slow


def called(live: Live, language: str, folder: Path) -> Mapping[str, Mapping[str, Json]]:
    """Each way to call → each method → what it returned."""
    if language == "node":
        found: Mapping[str, Mapping[str, Json]] = node(live, folder, "methods.mjs")
        return found
    script = CLIENTS / "every_method.py"
    return dict(json.loads(run([installed("openpipe", "python"), script], surroundings(live, "op-all"))))


@pytest.mark.parametrize(
    ("language", "ways"),
    [
        ("python", {"sync": 13, "async": 13, "sync base": 23, "async base": 23}),
        ("node", {"client": 19, "base": 23}),
    ],
)
def test_every_method_gets_what_it_reads(language: str, ways: Mapping[str, int], tmp_path: Path) -> None:
    with serving("--quiet") as live:
        found = called(live, language, tmp_path)
    assert {way: len(answers) for way, answers in found.items()} == ways
    for answers in found.values():
        words = {name.replace("_", "").lower(): answer for name, answer in answers.items()}
        assert words["createdatasetentries"]["entries_created"] == 1
        assert words["createdatasetentries"]["errors"]["data"][0]["entry_index"] == 1
        assert words["createmodel"]["openpipe"]["hyperparameters"] == {"batch_size": "auto"}
        assert words["createmodel"]["id"] == words["getmodel"]["id"] == words["deletemodel"]["id"] == "mine"
        assert words["deletedataset"]["deleted"] is words["deletemodel"]["deleted"] is True
        assert "mine" in [model["id"] for model in words["listmodels"]["data"]]
        if "unstablefinetuneget" in words:
            assert words["unstablefinetuneget"]["slug"] == "older"


def test_the_sample_on_the_page_runs(tmp_path: Path) -> None:
    page = section((ROOT / "docs" / "clients.md").read_text("utf-8"), "## Datasets and models")
    [sample] = [block.code for block in blocks(page) if block.language == "python"]
    script = tmp_path / "sample.py"
    with serving("--quiet") as live:
        script.write_text(sample.replace("http://127.0.0.1:6736/api/v1", live.base_url), "utf-8")
        printed = run([installed("openpipe", "python"), script], surroundings(live, "op-all"))
    assert printed == "1.0 []\nDEPLOYED\n"
