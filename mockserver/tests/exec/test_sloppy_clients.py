"""Clients with one fault each, what is meant to catch it, and the correct client that nothing catches."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.exec.run import Job, mock_in_thread, run_command, surroundings
from openpipe_mock.exec.verdict import BROKE, Run, Verdict
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import ErrorAnswer
from openpipe_mock.faults.variants import ONLY_NAMED, VARIANTS, variant_named
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import DUMMY_KEY
from tests.environments import TESTS
from tests.holding import WARM, asking, started, until_held
from tests.live import ATTEMPTS, clean

pytestmark = pytest.mark.slow

CLIENTS = TESTS / "clients" / "sloppy"
CORRECT = CLIENTS / "correct.py"
SIDE_BY_SIDE = 6


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
    Caught("wants_a_space.py", "no-space"),
    Caught("opening_has_no_arguments.py", "whole-calls"),
    Caught("calls_one_by_one.py", "interleaved-calls"),
    Caught("one_call.py", "two-calls"),
    Caught("content_in_each_delta.py", "reasoning"),
    Caught("listed_is_called.py", "empty-calls"),
    Caught("id_if_there.py", "null-in-calls"),
    Caught("id_unless_null.py", "empty-in-calls"),
    Caught("text_or_calls.py", "text-beside-calls"),
    Caught("null_beside_calls.py", "empty-content"),
    Caught("finds_arguments.py", "other-arguments"),
    Caught("charset_of_the_header.py", "no-charset"),
    Caught("type_is_json.py", "charset"),
    Caught("json_in_each_line.py", "several-data-lines"),
    Caught("knows_no_cr.py", "cr"),
    Caught("knows_data_alone.py", "event-fields"),
    Caught("role_comes_alone.py", "all-at-once"),
    Caught("one_choice_a_chunk.py", "choices-together"),
    Caught("empty_is_the_end.py", "empty-pieces"),
    Caught("usage_comes_last.py", "usage-with-finish"),
    Caught("keeps_by_id.py", "unnamed"),
    Caught("finds_choices.py", "spaced-json"),
    Caught("reads_raw_texts.py", "escaped-json"),
    Caught("id_comes_first.py", "reversed-json"),
    Caught("reads_by_length.py", "chunked"),
    Caught("asks_for_gzip.py", "compressed"),
    Caught("short_timeout.py", "slow-start"),
    Caught("impatient_judge.py", "slow-judge"),
    Caught("first_word.py", "empty-explanation"),
    Caught("code_means_failed.py", "error-beside-score"),
    Caught("knows_no_names.py", "event-names"),
    Caught("blank_is_an_event.py", "lone-fields"),
    Caught("knows_no_mark.py", "byte-order-mark"),
    Caught("joins_names.py", "repeated-names"),
    Caught("counts_from_zero.py", "call-from-one"),
    Caught("type_in_lower_case.py", "other-case"),
    Caught("content_is_text.py", "refusal"),
    Caught("texts_are_whole.py", "cut-off"),
    Caught("some_text.py", "content-filter"),
    Caught("wants-a-space.mjs", "no-space"),
    Caught("listed-is-called.mjs", "empty-calls"),
    Caught("spreads-pieces.mjs", "null-in-calls"),
    Caught("one-line-of-data.mjs", "several-data-lines"),
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
    job = Job(command, settings or Settings(), chosen, jobs=SIDE_BY_SIDE if len(chosen) > 1 else 1)
    return run_command(job, environment, lambda *_: None)


def rules(run: Run) -> list[str]:
    return [warning.rule.name for warning in run.warnings]


Verdicts = Mapping[str, Verdict]


@pytest.fixture(scope="module")
def verdicts(command: Command) -> Verdicts:
    """What is found of each client of the table. Most of it is waiting, so several are tried at once."""

    def verdict(caught: Caught) -> Verdict:
        variants = [caught.variant] if caught.variant else []
        for _ in range(ATTEMPTS):  # a busy system joins single bytes again
            found = tried(command(CLIENTS / caught.client), variants, caught.settings)
            if caught.variant != "single-bytes" or found.runs[-1].broke:
                break
        return found

    with quiet(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return dict(zip(map(str, TABLE), pool.map(verdict, TABLE), strict=True))


@contextmanager
def quiet() -> Iterator[None]:
    """Context in which runs that are side by side may put back each other's levels of logging."""
    loggers = [logging.getLogger(name) for name in ("openpipe_mock", "uvicorn")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("caught", TABLE, ids=str)
def test_a_sloppy_client_is_caught_by_what_is_meant_for_it(caught: Caught, verdicts: Verdicts) -> None:
    verdict = verdicts[str(caught)]
    plain, last = verdict.first, verdict.runs[-1]
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
    every = {variant.name for variant in (*VARIANTS, *ONLY_NAMED)}
    assert {caught.variant for caught in TABLE} - {""} == every


def test_the_correct_client_is_caught_by_nothing(command: Command) -> None:
    verdict = tried(command(CORRECT), (variant.name for variant in VARIANTS))
    assert [(run.name, run.code, run.breaches, rules(run)) for run in verdict.runs] == [
        (name, 0, (), []) for name in ("plain", *(variant.name for variant in VARIANTS))
    ]
    assert verdict.exit_code == 0
    assert all(run.requests["chat"] >= 4 for run in verdict.runs)
