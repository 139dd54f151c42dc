"""Schemathesis judges the mock by our openapi.yaml; what it complains of was decided so."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import ROOT, installed
from tests.live import INSTALLING, clean, serving
from tests.profiles import examples

pytestmark = pytest.mark.slow

DECIDED = {
    ("RejectedPositiveData", "POST /chat/completions"): "`op-cache` beside `stream` is refused",
    ("RejectedPositiveData", "POST /logs/update-metadata"): "a filter's field has to be one that calls have",
    ("RejectedPositiveData", "POST /logs/update-tags"): "a filter's field has to be one that calls have",
    ("AcceptedNegativeData", "POST /criteria/judge"): "null for an optional member counts as absent",
    ("AcceptedNegativeData", "POST /models"): "null for an optional member counts as absent",
    ("RejectedPositiveData", "POST /models"): "a training has to be possible",
    ("RejectedPositiveData", "POST /unstable/finetune/create"): "a training has to be possible",
    ("RejectedPositiveData", "POST /unstable/finetune/delete"): "one of two optional members is needed",
}
"""Complaint and operation → what was decided (docs/decisions.md)."""


def complaints(report: Path) -> Iterator[tuple[str, str]]:
    for failure in json.loads(report.read_bytes())["failures"]:
        yield from ((failure["type"], operation) for operation in failure["operations"])


def test_its_complaints_are_decided(tmp_path: Path) -> None:
    config, report = tmp_path / "mock.yaml", tmp_path / "report.json"
    config.write_text("auth: {keys: [op-local]}")
    flags = ["--phases=examples,coverage,fuzzing", f"--max-examples={examples(9)}", "--no-shrink"]
    flags += [
        "--generation-deterministic",
        "--continue-on-failure",
        "--header=Authorization: Bearer op-local",
    ]
    flags += ["--report=json", f"--report-json-path={report}"]
    with serving("--validation=exact", f"--config={config}", "--quiet") as live:
        command = [
            str(installed("schemathesis", "schemathesis")),
            "run",
            str(ROOT / "schemas" / "openapi.yaml"),
        ]
        words = [*command, f"--url={live.base_url}", *flags]
        done = subprocess.run(
            words, capture_output=True, text=True, env=clean(), cwd=tmp_path, timeout=INSTALLING
        )
        assert report.exists(), done.stderr
        assert "Traceback" not in live.log.read_text()
    told = json.loads(report.read_bytes())
    assert (told["complete"], told["operations"]["tested"], told["errors"]) == (True, 23, [])
    assert told["test_cases"]["generated"] > 1500
    assert set(complaints(report)) == set(DECIDED)
