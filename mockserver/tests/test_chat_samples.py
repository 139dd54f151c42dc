"""The documentation's chat samples, with the smallest correction that lets them run, against a running mock.

The correction of each is on record as a difference; the Python sample needs none. The samples are those of
"Runtime Evaluation"; the judge's are in test_samples.py.
"""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from openpipe_mock.core.resources import folder
from tests.chatclients import Json, surroundings
from tests.environments import TESTS, installed, node_modules
from tests.live import Live, run, serving, untimed
from tests.markdown import blocks, section

pytestmark = pytest.mark.slow

SAMPLES = TESTS / "samples"
LANGUAGES = {"chat.py": "python", "chat.mjs": "typescript", "chat.sh": "bash"}
CHANGED_LINES = {"chat.py": 0, "chat.mjs": 2, "chat.sh": 2}
SHOWING = {
    "chat.py": "print(completion.to_json(indent=None))\nassert best_response is completion.choices[0]\n",
    "chat.mjs": "console.log(JSON.stringify(completion));\n",
    "chat.sh": "",
}
"""What a test adds below a sample, to see the completion that it keeps to itself."""

SERVICE = "https://app.openpipe.ai/api/v1"
"""Where the curl command looks for the service; the other samples find it by OPENPIPE_BASE_URL."""

WITHOUT_NEW = ("const client = OpenAI();", "const client = new OpenAI();")
"""What the Node sample needs before it sends anything at all."""


def documented(sample: str) -> str:
    """The sample as the document has it."""
    page = (folder("schemas") / "sources" / "criteria-api.md").read_text(encoding="utf-8")
    found = blocks(section(page, "### Runtime Evaluation"))
    [code] = [block.code for block in found if block.language == LANGUAGES[sample]]
    return code


def runnable(sample: str) -> str:
    return (SAMPLES / sample).read_text(encoding="utf-8")


def correction(sample: str) -> str:
    """What differs between the document's sample and the one that runs."""
    before, after = documented(sample).splitlines(keepends=True), runnable(sample).splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, "schemas/sources/criteria-api.md", sample))


def result(sample: str, code: str, live: Live, workplace: Path) -> Json:
    """What a sample gets."""
    script = workplace / sample
    script.write_text(code.replace(SERVICE, live.base_url) + SHOWING[sample], encoding="utf-8")
    if sample.endswith(".mjs"):
        (workplace / "node_modules").symlink_to(node_modules())
    interpreters = {".py": str(installed("openpipe", "python")), ".mjs": "node", ".sh": "sh"}
    return json.loads(run([interpreters[script.suffix], script], surroundings(live, "op-samples")))


@pytest.fixture(scope="module")
def completions(live: Live, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """What each sample that runs gets."""
    return {
        sample: result(sample, runnable(sample), live, tmp_path_factory.mktemp("sample"))
        for sample in LANGUAGES
    }


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_sample_differs_from_the_document_by_its_recorded_correction_alone(sample: str) -> None:
    recorded = SAMPLES / f"{sample}.diff"
    assert correction(sample) == (recorded.read_text(encoding="utf-8") if recorded.exists() else "")


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_correction_is_small(sample: str) -> None:
    changed = [line for line in correction(sample).splitlines()[2:] if line.startswith("+")]
    assert len(changed) == CHANGED_LINES[sample]


@pytest.mark.parametrize("sample", LANGUAGES)
def test_a_sample_gets_five_choices_with_the_best_one_first(
    completions: dict[str, Json], sample: str
) -> None:
    choices = completions[sample]["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3, 4]
    totals = []
    for choice in choices:
        results = choice["criteria_results"]
        assert list(results) == ["criterion-1", "criterion-2"]
        assert {result["status"] for result in results.values()} == {"success"}
        totals.append(sum(result["score"] for result in results.values()))
    assert totals == pytest.approx(sorted(totals, reverse=True))
    assert len(set(totals)) > 1


def test_the_same_prompt_gets_the_same_choices(completions: dict[str, Json]) -> None:
    """The Node sample and the curl command send the same but for `store`, the Python sample another role."""
    assert completions["chat.mjs"]["choices"] == completions["chat.sh"]["choices"]
    assert completions["chat.py"]["choices"] != completions["chat.sh"]["choices"]


# The samples as they are printed.


@pytest.fixture(scope="module")
def chatty() -> Iterator[Live]:
    """A mock of this file's own, whose log can be read."""
    with serving() as server:
        yield server


def test_the_printed_curl_body_is_no_json(chatty: Live, tmp_path: Path) -> None:
    error = result("chat.sh", documented("chat.sh"), chatty, tmp_path)
    assert error["code"] == error["error"]["code"] == "PARSE_ERROR"
    assert error["message"].startswith("Failed to parse request body")
    body = documented("chat.sh").partition("--data '")[2].rpartition("'")[0]
    headers = {"Authorization": "Bearer op-local", "Content-Type": "application/json"}
    answer = httpx.post(f"{chatty.base_url}/chat/completions", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (400, error)


def test_the_printed_node_body_is_answered_without_criteria_and_a_hint(chatty: Live, tmp_path: Path) -> None:
    """Its headers stand in the body, where they are one more unknown member."""
    code = documented("chat.mjs")
    assert WITHOUT_NEW[0] in code
    completion = result("chat.mjs", code.replace(*WITHOUT_NEW), chatty, tmp_path)
    assert len(completion["choices"]) == 5
    assert not any("criteria_results" in choice for choice in completion["choices"])
    [hint] = [line for line in untimed(chatty.log.read_text()).splitlines() if '"headers"' in line]
    assert "/api/v1/chat/completions" in hint
    assert "options" in hint
