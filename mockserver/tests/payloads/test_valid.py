"""The documentation's judge samples, with the smallest correction that lets them run, against a running mock.

The correction of each is on record as a difference, so neither the sample nor the document can drift.
"""

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.core.resources import folder
from tests.environments import TESTS, installed, node_modules
from tests.live import Live, leading_to, run
from tests.markdown import blocks, section

pytestmark = pytest.mark.slow

SAMPLES = TESTS / "samples"
LANGUAGES = {"judge.py": "python", "judge.mjs": "typescript"}
SHOWING = {
    "judge.py": "import json; print(json.dumps([result.score, result.explanation]))\n",
    "judge.mjs": "console.log(JSON.stringify([result.score, result.explanation]));\n",
}
"""What a test adds below a sample, to see the result that it keeps to itself."""


def documented(sample: str) -> str:
    """The sample as the document has it."""
    page = (folder("schemas") / "sources" / "criteria-api.md").read_text(encoding="utf-8")
    language = LANGUAGES[sample]
    [code] = [
        block.code for block in blocks(section(page, "### Offline Testing")) if block.language == language
    ]
    return code


def correction(sample: str) -> str:
    """What differs between the document's sample and the one that runs."""
    runnable = (SAMPLES / sample).read_text(encoding="utf-8")
    before, after = documented(sample).splitlines(keepends=True), runnable.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, "schemas/sources/criteria-api.md", sample))


def result(sample: str, live: Live, workplace: Path) -> Any:
    """The sample's result."""
    code = (SAMPLES / sample).read_text(encoding="utf-8") + SHOWING[sample]
    script = workplace / sample
    script.write_text(code, encoding="utf-8")
    if sample.endswith(".mjs"):
        (workplace / "node_modules").symlink_to(node_modules())
        return json.loads(run(["node", script], leading_to(live)))
    return json.loads(run([installed("openpipe", "python"), script], leading_to(live)))


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_sample_differs_from_the_document_by_its_recorded_correction_alone(sample: str) -> None:
    assert correction(sample) == (SAMPLES / f"{sample}.diff").read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_correction_adds_or_changes_at_most_four_lines(sample: str) -> None:
    changed = [line for line in correction(sample).splitlines()[2:] if line.startswith("+")]
    assert 0 < len(changed) <= 4


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_sample_gets_its_judgement(sample: str, live: Live, tmp_path: Path) -> None:
    score, explanation = result(sample, live, tmp_path)
    assert 0 <= score <= 1
    assert "criterion-1@v1" in explanation


def test_both_samples_get_the_same_judgement(live: Live, tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "node").mkdir()
    assert result("judge.py", live, tmp_path / "python") == result("judge.mjs", live, tmp_path / "node")
