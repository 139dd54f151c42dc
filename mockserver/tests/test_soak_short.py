"""`make soak`, but short: that it runs, says what it found, and finds what is wrong."""

import re
import sys
from typing import Any

import pytest

from benchmarks import soak
from tests.bombs import SCHEMA_BOMBS
from tests.environments import ROOT
from tests.live import finished
from tests.soaking import Report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def soaked() -> Any:
    flags = ("--requests=500", "--connections=150", "--kills=1", "--seed=3", "--dwell=0.5")
    heavy = ("--mebibytes=0.5", "--streams=50")
    return finished([sys.executable, "-m", "benchmarks.soak", *flags, *heavy], cwd=ROOT)


def test_a_sound_mock_survives_it(soaked: Any) -> None:
    assert (soaked.returncode, soaked.stderr) == (0, ""), soaked.stdout
    assert soaked.stdout.endswith("No problems.\n")


def test_it_says_how_much_it_did(soaked: Any) -> None:
    rounds = re.findall(r"round \d+: (\d+) mad requests .* (\d+) correct ones", soaked.stdout)
    assert [int(sent) for sent, _ in rounds] == [50] * 10
    assert all(int(served) for _, served in rounds)
    assert "150 open connections" in soaked.stdout
    assert f"  {len(SCHEMA_BOMBS)} bombs, {2 * len(SCHEMA_BOMBS)} requests" in soaked.stdout
    assert len(re.findall(r"0\.5 MiB of .*, \d+ health checks beside it", soaked.stdout)) == 5
    assert re.search(r"50 streams, \d{3,} reads; [1-9]\d* judgements", soaked.stdout)
    assert re.search(r"20 judgements at once in .*, [1-9]\d* health checks beside them", soaked.stdout)
    assert "; 0 unscripted 5xx, 0 hangs, 0 secrets found; " in soaked.stdout
    assert "40 streams" in soaked.stdout
    assert re.search(r"10 times saved, [1-9]\d* times read", soaked.stdout)
    assert re.search(r"1 times killed and 1 times told to end .* again on port [1-9]", soaked.stdout)


def test_what_is_wrong_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = soak.Soak(0, 0, 0, 0)
    found.judge(Report(served=0, defects=["a probe: b'HTTP/1.1 500 '"]))
    assert capsys.readouterr().out.splitlines() == [
        "  WRONG: a probe: b'HTTP/1.1 500 '",
        "  WRONG: no correct client was served",
    ]
    assert len(found.problems) == 2
