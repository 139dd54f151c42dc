"""Clients with one fault each, what is meant to catch it, and the correct client that nothing catches."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.exec.run import Job, mock_in_thread, run_command, surroundings
from openpipe_mock.exec.verdict import BROKE, Run, Verdict
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import ErrorAnswer
from openpipe_mock.faults.variants import VARIANTS, variant_named
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import DUMMY_KEY
from tests.environments import TESTS
from tests.holding import WARM, asking, started, until_held
from tests.live import ATTEMPTS, clean

pytestmark = pytest.mark.slow

CLIENTS = TESTS / "clients" / "sloppy"
CORRECT = CLIENTS / "correct.py"


@dataclass(frozen=True)
class Caught:
    """What catches a client: a variant, a rule of conduct, or the JSON pointer of what it breaks."""

    client: str
    variant: str = ""
    rule: str = ""
    pointer: str = ""
    settings: Settings = field(default_factory=Settings)

    def __str__(self) -> str:
        return f"{self.client}-{self.rule or self.pointer or self.variant}"


BUSY = Fault(first=17, kinds=(ErrorAnswer(429, retry_after=1.0),))
TABLE = (
    Caught("index_is_zero.py", "kept-index"),
    Caught("errored_criterion.py", "errored-criterion"),
    Caught("score_beside_error.py", "scored-error"),
    Caught("waits_for_done.py", "no-done"),
    Caught("drops_the_last.py", "no-done"),
    Caught("splits_on_lf.py", "crlf"),
    Caught("splits-on-lf.mjs", "crlf"),
    Caught("knows_no_comments.py", "comments"),
    Caught("splits_utf8.py", "single-bytes"),
    Caught("decodes-pieces.mjs", "single-bytes"),
    Caught("one_event_a_piece.py", "one-piece"),
    Caught("fixed_chunk.py", "long-text"),
    Caught("never_retries.py", "too-many-requests"),
    Caught("knows_no_503.py", "unavailable-once"),
    Caught("needs_usage.py", "no-usage"),
    Caught("needs_explanation.py", "reward-model"),
    Caught("needs_logprobs.py", "no-logprobs"),
    Caught("needs_refusal.py", "bare"),
    Caught("takes_null_for_calls.py", "nulls"),
    Caught("closed_model.py", "more-members"),
    Caught("scores_are_decimals.py", "whole-scores"),
    Caught("scores_are_short.py", "fine-scores"),
    Caught("criteria_in_order.py", "criteria-order"),
    Caught("no_ties.py", "ties"),
    Caught("role_comes_first.py", "empty-first-delta"),
    Caught("role_begins_anew.py", "roles-repeated"),
    Caught("end_says_nothing.py", "finish-with-text"),
    Caught("choice_in_each_chunk.py", "no-choices"),
    Caught("calls_by_finish_reason.py", "stop-beside-calls"),
    Caught("latin_texts.py", "unusual-text"),
    Caught("short_texts.py", "long-text"),
    Caught("openai_errors.py", "bare-errors"),
    Caught("ignores_retry_after.py", "too-many-requests", rule="ignored-retry-after"),
    Caught("hammers.py", rule="hammered-after-429", settings=Settings(faults=(BUSY,))),
    Caught("retries_400.py", rule="retried-a-400"),
    Caught("retries_without_end.py", rule="retried-without-end"),
    Caught("key_in_query.py", rule="secret-in-query"),
    Caught("key_in_body.py", rule="key-in-body"),
    Caught("criteria_in_body.py", rule="criteria-in-body"),
    Caught("leaves_streams.py", rule="left-a-stream"),
    Caught("unknown_member.py", pointer="/temprature", settings=Settings(validation="lenient")),
    Caught("number_as_content.py", pointer="/messages/0/content"),
    Caught("criteria_as_csv.py", pointer="header op-criteria"),
)
"""Client → what is meant to catch it."""


Command = Callable[[Path], tuple[str, ...]]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command that runs a client: one in Python as a fork of a process that has run the correct one."""
    folder = tmp_path_factory.mktemp("sloppy")
    address, log = folder / "held.sock", folder / "log"
    node = str(shutil.which("node"))
    with mock_in_thread(Service()) as origin:
        led = surroundings(origin, DUMMY_KEY, None, {**clean(), "PYTHONPATH": str(CLIENTS)})
        with started([sys.executable, WARM, address, str(CORRECT)], led) as process:
            until_held(process)
            yield (
                lambda client: (
                    (node, str(client)) if client.suffix == ".mjs" else asking(address, log, client)
                )
            )


def tried(
    command: tuple[str, ...], variants: Iterable[str] = (), settings: Settings | None = None
) -> Verdict:
    """The verdict on a client, after its plain run, under these variants."""
    chosen = tuple(map(variant_named, variants))
    environment = {**clean(), "PATH": os.environ["PATH"]}
    return run_command(Job(command, settings or Settings(), chosen), environment, lambda *_: None)


def rules(run: Run) -> list[str]:
    return [warning.rule.name for warning in run.warnings]


@pytest.mark.parametrize("caught", TABLE, ids=str)
def test_a_sloppy_client_is_caught_by_what_is_meant_for_it(caught: Caught, command: Command) -> None:
    for _ in range(ATTEMPTS):  # a busy system joins single bytes again
        variants = [caught.variant] if caught.variant else []
        verdict = tried(command(CLIENTS / caught.client), variants, caught.settings)
        plain, last = verdict.first, verdict.runs[-1]
        if caught.variant != "single-bytes" or last.broke:
            break
    assert plain.code == 0
    if caught.pointer:
        assert [breach.violation.partition(": ")[0] for breach in plain.breaches] == [caught.pointer]
        assert verdict.exit_code == BROKE
    elif caught.rule:
        assert rules(last) == [caught.rule]
        assert not caught.variant or rules(plain) == []
    else:
        assert (plain.breaches, rules(plain)) == ((), [])
        assert last.broke
        assert last.code == 1
        assert verdict.exit_code == BROKE


def test_the_table_has_each_client_and_each_variant() -> None:
    there = {path.name for path in CLIENTS.iterdir() if path.is_file()} - {CORRECT.name}
    assert {caught.client for caught in TABLE} == there
    assert {caught.variant for caught in TABLE} - {""} == {variant.name for variant in VARIANTS}


def test_the_correct_client_is_caught_by_nothing(command: Command) -> None:
    verdict = tried(command(CORRECT), (variant.name for variant in VARIANTS))
    assert [(run.name, run.code, run.breaches, rules(run)) for run in verdict.runs] == [
        (name, 0, (), []) for name in ("plain", *(variant.name for variant in VARIANTS))
    ]
    assert verdict.exit_code == 0
    assert all(run.requests["chat"] >= 4 for run in verdict.runs)
