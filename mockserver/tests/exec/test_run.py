"""`execute` in this process: what a command gets, what becomes of it, and what is said of its client."""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.secrets import MASK
from openpipe_mock.exec import run as module
from openpipe_mock.exec.child import PASSED_ON, CannotRun, Child
from openpipe_mock.exec.report import exec_text
from openpipe_mock.exec.run import Job, run_command
from openpipe_mock.exec.verdict import BROKE, Verdict
from openpipe_mock.faults.variants import VARIANTS, chosen, variant_named
from openpipe_mock.server.server import CannotServe
from openpipe_mock.testing import live as liveserver
from openpipe_mock.testing.conduct import Lapse
from tests.live import clean

pytestmark = [pytest.mark.slow, pytest.mark.measured]

Json = Any

ASK = """
import json, os, sys, urllib.error, urllib.request
def ask(path, body, **headers):
    key = {"authorization": "Bearer " + os.environ["OPENPIPE_API_KEY"], "content-type": "application/json"}
    url = os.environ["OPENPIPE_BASE_URL"] + path
    request = urllib.request.Request(url, json.dumps(body).encode(), {**key, **headers})
    return json.load(urllib.request.urlopen(request))
GOOD = {"criterion_id": "helpful", "output": {"role": "assistant"}}
BAD = {**GOOD, "temprature": 1}
"""
LENIENT = Settings(validation="lenient")


def job(script: str, **further: Any) -> Job:
    return Job((sys.executable, "-c", ASK + script), **further)


def run(script: str, environment: Mapping[str, str] | None = None, **further: Any) -> Verdict:
    return run_command(job(script, **further), {**clean(), **(environment or {})}, lambda *_: None)


def told_by(tmp_path: Path, environment: Mapping[str, str] | None = None, **further: Any) -> Json:
    """The environment that a command sees."""
    file = tmp_path / "seen"
    run(f"open({str(file)!r}, 'w').write(json.dumps(dict(os.environ)))", environment, **further)
    return json.loads(file.read_text())


# What is required.

CHAT = """
def chat(text):
    ask("/chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
"""
WEATHER = {"completions": [{"text": "Sunny.", "when": {"last_user": "Weather?"}, "name": "weather"}]}


def test_each_completion_may_have_to_be_scripted() -> None:
    scripted, asked = configfile.settings(WEATHER), f"{CHAT}chat('Weather?'); chat('Wether?')"
    assert run(asked, settings=scripted).exit_code == 0
    verdict = run(asked, settings=scripted, require_scripted=True)
    assert verdict.exit_code == BROKE
    reason = 'last_user: expected a text that equals "Weather?", saw "Wether?"'
    [lack] = verdict.first.lacks
    assert lack == f"no script answers default-2: the nearest, /completions/0 (weather), differs: {reason}"
    assert f"  {lack}" in exec_text(verdict)
    assert run(f"{CHAT}chat('Weather?')", settings=scripted, require_scripted=True).exit_code == 0
    assert run(asked, settings=scripted, require_scripted=True, forgiving=True).exit_code == 0


def test_where_nothing_is_scripted_none_is() -> None:
    verdict = run(f"{CHAT}chat('Hi'); chat('Hi')", require_scripted=True, variants=chosen(1))
    assert [len(each.lacks) for each in verdict.runs] == [2, 0]
    assert verdict.first.lacks[0] == "no script answers default-1: none is there"
    refusing = Settings(unscripted="refuse")
    assert run(f"{CHAT}chat('Hi')", settings=refusing).first.code == 1


def test_requests_may_be_required() -> None:
    verdict = run("", require_requests=True)
    assert verdict.exit_code == BROKE
    assert "  no request came, and --require-requests asks for some" in exec_text(verdict)
    assert run("ask('/criteria/judge', GOOD)", require_requests=True).exit_code == 0


def test_a_scripted_call_of_a_tool_that_nobody_offers_breaks_the_contract() -> None:
    scripted = configfile.settings({"completions": [{"tool_calls": [{"name": "look", "arguments": {}}]}]})
    verdict = run(f"{CHAT}chat('Hi')", settings=scripted)
    assert verdict.exit_code == BROKE
    told = 'the script /completions/0 calls "look", and the request offers no tool.'
    assert [breach.violation for breach in verdict.first.breaches] == [told]


# What the command gets.


def test_a_command_is_led_to_the_mock(tmp_path: Path) -> None:
    seen = told_by(tmp_path, {"NO_PROXY": "", "no_proxy": ""})
    assert seen["OPENPIPE_BASE_URL"] == seen["OPENAI_BASE_URL"]
    assert seen["OPENPIPE_BASE_URL"].startswith("http://127.0.0.1:")
    assert seen["OPENPIPE_BASE_URL"].endswith("/api/v1")
    assert seen["OPENPIPE_MOCK_CONTROL_URL"].endswith("/_mock")
    assert seen["OPENPIPE_MOCK_VARIANT"] == ""
    assert seen["NO_PROXY"] == seen["no_proxy"] == "127.0.0.1,localhost"


def test_dummy_keys_stand_over_real_ones(tmp_path: Path) -> None:
    real = dict.fromkeys(("OPENPIPE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "sk-real-and-secret")
    seen = told_by(tmp_path, {**real, "NO_PROXY": "example.com", "HOME": "/home/ada"})
    assert "sk-real-and-secret" not in seen.values()
    assert {seen[name] for name in real} == {"op-local"}
    assert "GEMINI_API_KEY" not in seen
    assert seen["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    assert seen["HOME"] == "/home/ada"


def test_the_key_is_one_that_the_mock_takes(tmp_path: Path) -> None:
    assert told_by(tmp_path, settings=Settings(keys=("op-mine",)))["OPENAI_API_KEY"] == "op-mine"


def test_a_run_under_a_variant_can_know_it(tmp_path: Path) -> None:
    assert told_by(tmp_path, only=variant_named("crlf"))["OPENPIPE_MOCK_VARIANT"] == "crlf"


# What becomes of it.


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), 15)", 128 + 15),
        ("ask('/criteria/judge', GOOD)", 0),
        ("ask('/criteria/judge', BAD)", BROKE),
        ("ask('/criteria/judge', BAD); sys.exit(4)", 4),
        ("ask('/criteria/judge', BAD, **{'x-mock-expect': 'violation'})", 0),
    ],
)
def test_the_exit_code(script: str, code: int) -> None:
    assert run(script, settings=LENIENT).exit_code == code


def test_what_a_client_breaks_can_be_forgiven() -> None:
    verdict = run("ask('/criteria/judge', BAD)", settings=LENIENT, forgiving=True)
    assert (verdict.exit_code, len(verdict.first.breaches)) == (0, 1)


def test_what_the_client_did_is_counted() -> None:
    script = "[ask('/criteria/judge', BAD) for _ in range(3)]; ask('/criteria/judge', GOOD)"
    first = run(script, settings=LENIENT).first
    assert first.requests == {"judge": 4}
    [breach] = first.breaches
    assert breach.ids == ("default-1", "default-2", "default-3")
    assert str(breach).startswith("judge /temprature: ")
    assert str(breach).endswith("(default-1 and 2 more)")


def test_requests_in_sessions_and_behind_a_reset_count_too() -> None:
    script = """
url = os.environ["OPENPIPE_MOCK_CONTROL_URL"]
ask('/criteria/judge', BAD, **{"x-mock-session": "mine"})
ask('/criteria/judge', BAD)
urllib.request.urlopen(urllib.request.Request(url + "/reset", b"")).read()
ask('/criteria/judge', GOOD)
"""
    first = run(script, settings=LENIENT).first
    assert first.requests == {"judge": 3}
    assert [breach.ids for breach in first.breaches] == [("mine-1", "default-1")]


def test_more_requests_than_a_run_keeps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SEEN", 1)
    first = run("[ask('/criteria/judge', GOOD) for _ in range(3)]").first
    assert (first.requests, first.unseen) == ({"judge": 1}, 2)


def test_a_client_that_asks_a_session_that_is_gone_is_no_trouble() -> None:
    script = """
try:
    ask('/criteria/judge', GOOD, **{"x-mock-session": "-no name-"})
except urllib.error.HTTPError as error:
    sys.exit(error.code != 400)
"""
    assert run(script).exit_code == 0


@pytest.mark.parametrize(
    ("program", "code", "told"),
    [
        ("no-such-program", 127, "cannot run no-such-program: no folder in PATH has it"),
        ("./no-such-program", 127, r"cannot run \./no-such-program: there is no such file"),
        ("/etc", 126, "cannot run /etc: Permission denied"),
        ("npm test", 127, "write its words apart, as in: openpipe-mock exec -- npm test"),
        ("CI=1", 127, "write variables in front of openpipe-mock"),
        ("./bare", 126, "its first line doesn't say what runs it, as #!/bin/sh does"),
        ("./strange", 127, "what its first line says should run it is not there"),
    ],
)
def test_a_command_that_cannot_be_started(
    program: str, code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("bare", "echo hi\n"), ("strange", "#!/no/such/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(CannotRun, match=told) as caught:
        run_command(Job((program,)), clean(), lambda *_: None)
    assert caught.value.code == code


def test_a_request_after_a_reset_isnt_excused_by_one_of_the_same_name() -> None:
    script = """
ask('/criteria/judge', BAD, **{'x-mock-expect': 'violation'})
reset = os.environ["OPENPIPE_MOCK_CONTROL_URL"] + "/reset"
urllib.request.urlopen(urllib.request.Request(reset, b"")).read()
ask('/criteria/judge', BAD)
"""
    [breach] = run(script, settings=LENIENT).first.breaches
    assert breach.ids == ("default-1",)


# Variants.


def test_a_command_runs_again_under_each_variant() -> None:
    announced: list[tuple[str, int, int]] = []
    verdict = run_command(
        job("ask('/criteria/judge', GOOD)", variants=VARIANTS[:3]),
        clean(),
        lambda variant, number, total: announced.append((variant.name, number, total)),
    )
    assert [run.name for run in verdict.runs] == ["plain", *(variant.name for variant in VARIANTS[:3])]
    assert announced == [(variant.name, number, 3) for number, variant in enumerate(VARIANTS[:3], 1)]
    assert (verdict.exit_code, verdict.broken, verdict.planned) == (0, (), 4)


def test_what_breaks_under_a_variant_names_it() -> None:
    verdict = run(
        "assert 'explanation' in ask('/criteria/judge', GOOD)",
        variants=(variant_named("reward-model"), variant_named("crlf")),
    )
    [broken] = verdict.broken
    assert broken.name == "reward-model"
    assert broken.differs == "the command ended with 1, not with 0"
    assert verdict.exit_code == BROKE


def test_each_run_has_a_mock_of_its_own() -> None:
    verdict = run("ask('/criteria/judge', GOOD)", variants=(variant_named("crlf"), variant_named("bare")))
    assert [run.requests for run in verdict.runs] == [{"judge": 1}] * 3


def test_what_the_plain_run_breaks_too_is_not_the_variants_doing() -> None:
    script = """
ask('/criteria/judge', BAD)
if os.environ["OPENPIPE_MOCK_VARIANT"]:
    ask('/criteria/judge', {**GOOD, "other": 1})
"""
    verdict = run(script, settings=LENIENT, variants=(variant_named("crlf"),))
    plain, varied = verdict.runs
    assert [len(run.breaches) for run in verdict.runs] == [1, 2]
    assert [breach.violation[:7] for breach in varied.new] == ["/other:"]
    assert plain.new == plain.breaches


def test_a_plain_run_that_fails_ends_it() -> None:
    verdict = run("sys.exit(3)", variants=VARIANTS)
    assert (len(verdict.runs), verdict.planned, verdict.exit_code) == (1, 1 + len(VARIANTS), 3)


def test_one_variant_alone() -> None:
    verdict = run("assert 'explanation' in ask('/criteria/judge', GOOD)", only=variant_named("reward-model"))
    assert [run.name for run in verdict.runs] == ["reward-model"]
    assert verdict.exit_code == 1


def test_a_request_that_a_variant_refuses_is_held_against_the_contract() -> None:
    script = """
try:
    ask('/criteria/judge', BAD)
except urllib.error.HTTPError as error:
    sys.exit(error.code != 429)
"""
    verdict = run(script, only=variant_named("too-many-requests"), settings=LENIENT)
    assert verdict.exit_code == BROKE


def test_the_wait_that_an_answer_asks_for_is_seen() -> None:
    script = """
for _ in range(2):
    try:
        ask('/criteria/judge', GOOD)
    except urllib.error.HTTPError:
        pass
"""
    [warning] = run(script, only=variant_named("too-many-requests")).first.warnings
    assert isinstance(warning, Lapse)
    assert warning.rule.name == "ignored-retry-after"


# Where nothing came.


def test_a_command_that_asks_nothing_is_not_run_under_variants() -> None:
    verdict = run("", variants=VARIANTS[:3])
    assert (len(verdict.runs), verdict.planned, verdict.exit_code) == (1, 4, 0)
    assert verdict.first.silent


def test_a_command_whose_requests_are_only_counted_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SEEN", 0)
    verdict = run("ask('/criteria/judge', GOOD)", variants=VARIANTS[:1])
    assert [(run.silent, run.unseen) for run in verdict.runs] == [(False, 1), (False, 1)]


# Keys.


def test_a_key_in_a_request_that_no_journal_keeps_is_told_nowhere() -> None:
    script = """
KEY = "op-Very-Secret-1"
for number in range(3):
    key = {"authorization": "Bearer " + KEY}
    said = [{'role': 'user', 'content': 'Count to 3.'}]
    body = {'model': 'gpt-4o', 'messages': said, 'user': KEY, 'temperature': KEY}
    try:
        ask('/chat/completions', body, **key)
    except urllib.error.HTTPError as refused:
        assert refused.code == 400
    reset = os.environ["OPENPIPE_MOCK_CONTROL_URL"] + "/reset"
    urllib.request.urlopen(urllib.request.Request(reset, b"")).read()
"""
    first = run(script, settings=LENIENT).first
    assert first.requests == {"chat": 3}
    assert "/temperature" in str(first.breaches)
    assert [lapse.rule.name for lapse in first.warnings] == ["retried-a-400", "key-in-body"]
    assert "Very-Secret" not in str(first)


def test_real_keys_are_never_told() -> None:
    environment = {"OPENPIPE_API_KEY": "real-and-secret", "OPENAI_API_KEY": "ab"}
    verdict = run("# real-and-secret ab sk-abcdefgh", environment, reproduce=("run", "real-and-secret"))
    assert f"# {MASK} ab {MASK}" in verdict.command
    assert verdict.reproduce == f"run '{MASK}'"


# Signals. What a process does that gets them is tested with the command.


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found: list[Verdict] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: found.append(run("")))
    thread.start()
    thread.join()
    assert found[0].exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in PASSED_ON]
    run("")
    assert [signal.getsignal(number) for number in PASSED_ON] == before


def test_a_signal_ends_the_runs_that_were_to_come() -> None:
    script = """
ask('/criteria/judge', GOOD)
if os.environ["OPENPIPE_MOCK_VARIANT"]:
    os.kill(os.getppid(), 15)
    import time; time.sleep(20)
"""
    verdict = run(script, variants=VARIANTS)
    assert [run.name for run in verdict.runs] == ["plain", VARIANTS[0].name]
    assert verdict.exit_code == 128 + 15
    assert verdict.broken == ()


def test_a_signal_that_comes_before_the_command_reaches_it() -> None:
    child = Child()
    child.pass_on(signal.SIGTERM, typed=False)
    assert child.run((sys.executable, "-c", "import time; time.sleep(20)"), clean()) == 128 + 15


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Child().passing_signals_on():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Deaf:
    """A server that is never ready."""

    should_exit = False

    def __init__(self, *_: object) -> None:
        pass

    def run(self, sockets: object) -> None:
        while not self.should_exit:
            time.sleep(0.01)


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveserver, "_PATIENCE", 0.1)
    monkeypatch.setattr(liveserver, "Server", Deaf)
    with pytest.raises(CannotServe, match="did not start"):
        run("")


def test_what_popular_clients_send_breaks_nothing_and_is_told_once() -> None:
    message = '{"role": "tool", "tool_call_id": "a", "name": "look_up"}'
    verdict = run(f"ask('/chat/completions', {{'model': 'm', 'messages': [{message}, {message}]}})")
    assert (verdict.exit_code, verdict.first.breaches) == (0, ())
    assert verdict.first.tolerated == ("/messages/*/name",)
    assert "exact validation would refuse what stands at /messages/*/name" in exec_text(verdict)
    exact = run(
        f"ask('/chat/completions', {{'model': 'm', 'messages': [{message}]}})",
        settings=Settings(validation="exact"),
    )
    assert exact.exit_code == 1
    assert exact.first.breaches[0].violation.startswith("/messages/0/name: ")
