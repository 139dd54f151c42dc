"""`openpipe-mock exec` as a user runs it: its words, its exit code, its reports, and signals."""

import html
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from click.testing import CliRunner

from openpipe_mock.cli.exec import execute
from openpipe_mock.exec import report as clientreport
from openpipe_mock.exec.verdict import Breach, Run, Verdict
from openpipe_mock.faults.variants import VARIANTS, variant_named
from openpipe_mock.testing.conduct import CONDUCT_RULES, Lapse, Sight
from tests.environments import ROOT
from tests.exec.test_run import ASK
from tests.live import PATIENCE, clean, finished
from tests.markdown import blocks

pytestmark = [pytest.mark.slow, pytest.mark.measured]

Json = Any
Running = Callable[..., "subprocess.CompletedProcess[str]"]
Varied = tuple["subprocess.CompletedProcess[str]", Path]

MAIN = "from openpipe_mock.cli.exec import execute; execute(prog_name='openpipe-mock exec')"
COMMAND = (sys.executable, "-c", MAIN)
PAGE = (ROOT / "docs" / "exec.md").read_text(encoding="utf-8")


def client(script: str) -> tuple[str, ...]:
    return "--", sys.executable, "-c", ASK + script


def started(*words: str, folder: Path, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    return finished([*COMMAND, *words], {"PYTHONPATH": str(ROOT)}, cwd=folder, **settings)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    """The command in this process, from the test's folder; what it runs is a process in any case."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean().keys() - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)

    def running(*words: str) -> "subprocess.CompletedProcess[str]":
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            execute(words, prog_name="openpipe-mock exec")
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capfd.readouterr())

    return running


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """What the command said, without what its own command said."""
    lines = done.stderr.splitlines()
    return "\n".join(line for line in lines if line.startswith("openpipe-mock: "))


# What it says, and how it ends.


def test_a_client_that_keeps_the_contract(tmp_path: Path) -> None:
    done = started(
        *client("ask('/criteria/judge', GOOD); print('hello'); print('oh', file=sys.stderr)"), folder=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "hello\n")
    first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    assert first == "oh"
    assert last.endswith("passed; 1 request: 1 judge")


def test_standard_input_is_the_commands(tmp_path: Path) -> None:
    done = started(*client("print(sys.stdin.read().upper())"), folder=tmp_path, input="hello")
    assert done.stdout == "HELLO\n"


def test_a_client_that_breaks_it(run: Running) -> None:
    done = run("--validation", "lenient", *client("ask('/criteria/judge', BAD)"))
    assert done.returncode == 90
    assert "openpipe-mock: 1 break of the contract:\nopenpipe-mock:   judge /temprature: " in done.stderr
    forgiven = run(*("--validation", "lenient", "--fail-on", "never"), *client("ask('/criteria/judge', BAD)"))
    assert forgiven.returncode == 0
    assert "/temprature" in forgiven.stderr


SIX = "kept-index,errored-criterion, no-done,too-many-requests,bare,reward-model"
NAMES = ("client.html", "client.xml", "client.json")


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Varied:
    """A run of a client that breaks under variants, and the folder with its reports."""
    folder = tmp_path_factory.mktemp("varied")
    script = "assert 'explanation' in ask('/criteria/judge', GOOD)"
    words = ["--answers", "2", "--seed", "7", "--variants", SIX, "--name", "The judge"]
    words += [word for name in NAMES for word in ("--report", name)]
    return started(*words, *client(script), folder=folder), folder


def test_a_client_that_breaks_under_a_variant(varied: Varied, run: Running) -> None:
    done, _ = varied
    assert done.returncode == 90
    variant = variant_named("reward-model")
    told = said(done)
    assert f"openpipe-mock: variant 6 of 6, reward-model: {variant.sentence}\n" in told
    assert f"openpipe-mock: variant reward-model: {variant.sentence}\n" in told
    assert "openpipe-mock:   the command ended with 1, not with 0\n" in told
    again = "openpipe-mock exec --variant reward-model --answers 2 --seed 7 -- "
    assert f"openpipe-mock:   again: {again}" in told
    assert "under 6 variants: broke under too-many-requests and reward-model" in told
    script = "assert 'explanation' in ask('/criteria/judge', GOOD)"
    alone = run("--seed", "7", "--variant", "reward-model", *client(script))
    assert alone.returncode == 1


def test_a_command_of_several_lines_can_be_copied(run: Running) -> None:
    script = f"{ASK}ask('/criteria/judge', GOOD)\n"
    script += "if os.environ['OPENPIPE_MOCK_VARIANT']:\n    exit('\\x1b \u00fc')"
    done = run("--variants", "1", "--", sys.executable, "-c", script)
    [again] = [line for line in done.stderr.splitlines() if "again: " in line]
    words = again.partition(" -- ")[2]
    assert words.isprintable()
    copied = subprocess.run(["bash", "-c", f"echo {words} | tail -c +1"], capture_output=True, check=True)
    assert copied.stdout.decode() == f"{sys.executable} -c {script}\n"


def test_quiet_says_nothing_while_nothing_breaks(run: Running) -> None:
    good = run("--quiet", "--variants", "1", *client("ask('/criteria/judge', GOOD)"))
    assert (good.returncode, good.stderr) == (0, "")
    bad = run("--quiet", "--validation", "lenient", *client("ask('/criteria/judge', BAD)"))
    assert "1 break of the contract" in bad.stderr


def test_the_mocks_own_warnings_stay_out_of_the_commands_errors(tmp_path: Path) -> None:
    script = "ask('/chat/completions', {'model': 'm', 'messages': [], 'headers': {}})"
    words = ("--quiet", "--fail-on", "never", "--validation", "lenient", *client(script))
    done = started(*words, folder=tmp_path)
    assert all(line.startswith("openpipe-mock: ") for line in done.stderr.splitlines())


# Where nothing is tested.

UNREACHED = f"openpipe-mock: warning: {clientreport.UNREACHED}\n"


def test_a_command_that_never_reaches_the_mock(run: Running, tmp_path: Path) -> None:
    done = run("--variants", "3", "--report", "a.xml", "--", "true")
    assert done.returncode == 0
    assert done.stderr == (
        "openpipe-mock: true passed; no request\n"
        f"openpipe-mock: 3 variants not tried: they would test nothing\n{UNREACHED}"
    )
    suite = fromstring((tmp_path / "a.xml").read_text("utf-8"))[0]
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["1", "0", "1"]


def test_a_command_that_fails_without_a_request(run: Running) -> None:
    done = run("--quiet", "--", "false")
    assert (done.returncode, done.stderr) == (
        1,
        f"openpipe-mock: false ended with 1; no request\n{UNREACHED}",
    )


def test_a_command_that_keeps_old_results(run: Running) -> None:
    script = "if not os.path.exists('done'):\n    ask('/criteria/judge', GOOD)\n    open('done', 'w')"
    done = run("--quiet", "--variants", "2", *client(script))
    assert done.returncode == 0
    assert (
        f"openpipe-mock: warning: no request came under {VARIANTS[0].name} and {VARIANTS[1].name}:"
        " nothing was tested there; does the command keep old results?\n"
    ) in done.stderr


def test_reports_say_that_nothing_was_tested() -> None:
    assert clientreport.UNREACHED in (page := clientreport.exec_page(SILENT))
    assert "Nothing was tested." in page
    assert "is-inconclusive" in page
    assert clientreport.UNREACHED in clientreport.exec_junit(SILENT)
    assert json.loads(clientreport.exec_json(SILENT))["notes"] == [clientreport.UNREACHED]


def test_what_was_required_and_is_missing_is_in_each_report(run: Running, tmp_path: Path) -> None:
    reports = [word for name in ("a.xml", "a.json", "a.html") for word in ("--report", name)]
    done = run("--require-requests", "--require-scripted", *reports, "--", "true")
    assert done.returncode == 90
    lack = "no request came, and --require-requests asks for some"
    assert f"openpipe-mock:   {lack}\n" in done.stderr
    suite = fromstring((tmp_path / "a.xml").read_text("utf-8"))[0]
    assert [each.get("message") for each in suite.iter("failure")] == [lack]
    [told] = json.loads((tmp_path / "a.json").read_text("utf-8"))["runs"]
    assert (told["broke"], told["lacks"]) == (True, [lack])
    assert told["again"] == "openpipe-mock exec --require-scripted --require-requests -- true"
    assert lack in (tmp_path / "a.html").read_text("utf-8")


def test_more_variants_than_there_are(run: Running) -> None:
    told = f"openpipe-mock: there are {len(VARIANTS)} variants; --variants 99 means all of them\n"
    assert run("--variants", "99", "--", "true").stderr.startswith(told)
    assert told not in run("--variants", str(len(VARIANTS)), "--", "true").stderr
    assert told not in run("--quiet", "--variants", "99", "--", "true").stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--"], 2, "there is no COMMAND; write it behind --"),
        (["--", ""], 2, "there is no COMMAND; write it behind --"),
        (["--variant", "no-dnoe", "--", "true"], 2, 'there is no variant "no-dnoe". Did you mean "no-done"?'),
        (["--variant", "crlf", "--variants", "2", "--", "true"], 2, "exclude each other"),
        (["--variants", "crlf,no-dnoe", "--", "true"], 2, 'there is no variant "no-dnoe". Did you mean'),
        (["--variants", "2", "--except", "no-dnoe", "--", "true"], 2, 'there is no variant "no-dnoe".'),
        (["--except", "crlf", "--", "true"], 2, "--except leaves something out of --variants"),
        (["--variants", "", "--", "true"], 2, "--variants takes a number, names or all, and it is empty"),
        (["--record", "once", "--", "true"], 2, "--record once needs --cassette, the folder for what it"),
        (["--report", "report.txt", "--", "true"], 2, "report.txt ends in none of .html, .xml, .json"),
        (["--report", "nowhere/a.html", "--", "true"], 2, "there is no folder"),
        (["--config", "missing.yaml", "--", "true"], 2, "cannot read the config file missing.yaml: No such"),
        (["--", "no-such-program"], 127, "openpipe-mock: cannot run no-such-program"),
        (["--", "/etc"], 126, "openpipe-mock: cannot run /etc"),
    ],
)
def test_what_cannot_be_run(words: Sequence[str], code: int, told: str, run: Running) -> None:
    done = run(*words)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_file_with_mistakes(run: Running, tmp_path: Path) -> None:
    (tmp_path / "openpipe-mock.yaml").write_text("sed: 1\n")
    done = run("--", "true")
    assert done.returncode == 2
    assert "openpipe-mock: the config file has mistakes:\nopenpipe-mock: openpipe-mock.yaml" in done.stderr


def test_the_config_file_decides(run: Running, tmp_path: Path) -> None:
    (tmp_path / "openpipe-mock.yaml").write_text("criteria: {helpful: {score: 0.125}}\n")
    (tmp_path / "other.yaml").write_text("criteria: {helpful: {score: 0.25}}\n")
    script = "print(ask('/criteria/judge', GOOD)['score'])"
    assert run(*client(script)).stdout == "0.125\n"
    assert run("--config", "other.yaml", *client(script)).stdout == "0.25\n"


def test_the_config_file_may_be_called_yml(run: Running, tmp_path: Path) -> None:
    (tmp_path / "openpipe-mock.yml").write_text("criteria: {helpful: {score: 0.375}}\n")
    script = "print(ask('/criteria/judge', GOOD)['score'])"
    assert run(*client(script)).stdout == "0.375\n"
    (tmp_path / "openpipe-mock.yaml").touch()
    done = run("--", "true")
    assert done.returncode == 2
    assert said(done).startswith("openpipe-mock: openpipe-mock.yaml and openpipe-mock.yml are both here")


def test_the_config_file_may_be_a_pipe(run: Running, tmp_path: Path) -> None:
    words = ("--config", "/dev/stdin", *client("print(ask('/criteria/judge', GOOD)['score'])"))
    config = "criteria: {helpful: {score: 0.25}}\n"
    assert started(*words, folder=tmp_path, input=config).stdout == "0.25\n"
    assert "it has more than 1 MiB" in run("--config", "/dev/zero", "--", "true").stderr


def test_the_help_names_each_option() -> None:
    shown = CliRunner().invoke(execute, ["--help"]).output
    for parameter in execute.params:
        for option in parameter.opts:
            assert option in shown or not option.startswith("--")
    assert "-- COMMAND ..." in shown


# Signals.

WAITING = """
import signal, time
got = []
for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(name, lambda number, _: got.append(int(number)))
print("ready", flush=True)
deadline = time.monotonic() + 15
while not got and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.4)
print("got", got, flush=True)
sys.exit(7)
"""


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on(name: signal.Signals, tmp_path: Path) -> None:
    environment = clean({"PYTHONPATH": str(ROOT)})
    process = subprocess.Popen(
        [*COMMAND, "--variants", "2", *client(WAITING)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(name, signal.SIG_DFL),  # who tests in the background ignores SIGINT
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(name)
    out, errors = process.communicate(timeout=PATIENCE)
    assert out == f"got [{name:d}]\n"
    assert process.returncode == 7
    assert "ended with 7" in errors
    assert "2 variants not tried: a signal ended it" in errors


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGHUP, None], ids=["SIGINT", "SIGHUP", "typed"])
def test_a_signal_in_the_foreground_comes_once(name: signal.Signals | None, tmp_path: Path) -> None:
    environment = clean({"PYTHONPATH": str(ROOT)})
    child, terminal = pty.fork()
    if child == 0:
        for each in (signal.SIGINT, signal.SIGHUP):  # who tests in the background ignores them
            signal.signal(each, signal.SIG_DFL)
        os.chdir(tmp_path)
        os.execve(COMMAND[0], [*COMMAND, *client(WAITING)], environment)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    if name:
        os.kill(child, name)
    else:
        os.write(terminal, b"\x03")
    deadline = time.monotonic() + PATIENCE
    while b"got" not in shown and time.monotonic() < deadline:
        shown += os.read(terminal, 1000)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert b"got [%d]" % (name or signal.SIGINT) in shown
    assert os.waitstatus_to_exitcode(status) == 7


ENDING = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True)"
)


def test_a_run_that_a_signal_ended_before_its_variants_ends_with_the_signal(tmp_path: Path) -> None:
    process = begun("--variants", "2", *client(f"{ENDING}; time.sleep({PATIENCE})"), folder=tmp_path)
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "2 variants not tried: a signal ended it" in errors


def test_a_command_ends_with_who_runs_it(tmp_path: Path) -> None:
    script = f"import time; print('ready', flush=True); time.sleep({PATIENCE})"
    process = begun(*client(script), folder=tmp_path)
    process.kill()
    out, _ = process.communicate(
        timeout=PATIENCE
    )  # at once, but for the guard: the command had its pipes too
    assert (out, process.returncode) == ("", -signal.SIGKILL)


def begun(*words: str, folder: Path) -> "subprocess.Popen[str]":
    """The command, once what it runs has printed its first line."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean({"PYTHONPATH": str(ROOT)}),
        cwd=folder,
        start_new_session=True,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("closed", ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_nothing(closed: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("exec", "--report", str(report), *client("ask('/criteria/judge', GOOD)"))
    shell = ("bash", "-c", f'exec "$@" {closed}', "bash", sys.executable, "-m", "openpipe_mock", *words)
    assert subprocess.run(shell, env=clean(), cwd=tmp_path).returncode == 0
    assert json.loads(report.read_bytes())["runs"][0]["requests"] == {"judge": 1}


# Reports.


def test_reports_are_written(varied: Varied) -> None:
    done, folder = varied
    assert done.returncode == 90
    page, junit, told = ((folder / name).read_text("utf-8") for name in NAMES)
    assert "reward-model" in page
    assert "<title>Client: The judge</title>" in page
    suite = fromstring(junit)[0]
    assert suite.get("name") == "openpipe-mock exec The judge"
    assert (suite.get("tests"), suite.get("failures")) == ("7", "2")
    broken = ["too-many-requests", "reward-model"]
    content = json.loads(told)
    assert (content["exit_code"], content["name"]) == (90, "The judge")
    last = next(each for each in content["runs"] if each["name"] == "reward-model")
    assert last["tail"][-1].startswith("AssertionError")
    assert last["last_exchange"]["request"] == "POST /api/v1/criteria/judge"
    assert json.loads(last["last_exchange"]["answer"])["usage"]
    for text in (page, junit):
        assert "AssertionError" in text
        assert "POST /api/v1/criteria/judge (default-1)" in text
    assert [each["name"] for each in content["runs"] if each["broke"]] == broken


def test_a_report_that_cannot_be_written_is_told(run: Running, tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    done = run("--report", "a.html/", "--", "true")
    assert done.returncode == 2
    assert "a.html" in done.stderr


def test_a_report_that_fails_at_last_is_told(run: Running, tmp_path: Path) -> None:
    done = run("--report", "/dev/full.json", "--", "true")
    assert done.returncode in (0, 2)  # as far as the machine lets anybody write there
    script = f"os.mkdir({str(tmp_path / 'late.json')!r})"
    late = run("--report", "late.json", *client(script))
    assert late.returncode == 2
    assert "late.json can't be written: Is a directory" in late.stderr


def test_a_report_that_fails_keeps_no_other_from_being_written(run: Running, tmp_path: Path) -> None:
    script = f"os.mkdir({str(tmp_path / 'late.json')!r})"
    done = run("--report", "late.json", "--report", "a.xml", *client(script))
    assert done.returncode == 2
    assert (tmp_path / "a.xml").exists()


def test_nobody_has_to_read_what_it_says(tmp_path: Path) -> None:
    """A log's reader that is gone changes neither the exit code nor the reports."""
    reading, writing = os.pipe()
    os.close(reading)
    words = ("--variants", "99", "--report", "a.json", "--", "sh", "-c", "exit 3")
    done = subprocess.run(
        [*COMMAND, *words], env=clean({"PYTHONPATH": str(ROOT)}), cwd=tmp_path, stderr=writing, check=False
    )
    os.close(writing)
    assert done.returncode == 3
    assert json.loads((tmp_path / "a.json").read_text())["exit_code"] == 3


def test_variants_are_tried_side_by_side(run: Running, tmp_path: Path) -> None:
    """Each waits until the other has begun, which none does that is tried alone."""
    script = f"""
ask('/criteria/judge', GOOD)
if name := os.environ["OPENPIPE_MOCK_VARIANT"]:
    open({str(tmp_path)!r} + "/" + name, "w")
    import time
    for _ in range({round(PATIENCE * 20)}):
        if all(os.path.exists({str(tmp_path)!r} + "/" + each) for each in ("crlf", "bare")):
            break
        time.sleep(0.05)
    else:
        sys.exit("alone")
    print("told by", name, "to the end of standard input", repr(sys.stdin.read()))
"""
    done = run("--variants", "crlf,bare", "--jobs", "2", *client(script))
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [
        f"told by {name} to the end of standard input ''" for name in ("bare", "crlf")
    ]


def test_variants_are_left_out(run: Running) -> None:
    done = run("--variants", "all", "--except", "crlf, bare", "--except", "ties", "--", "true")
    assert f"{len(VARIANTS) - 3} variants not tried" in done.stderr


SECRETS = ("hunter22", "pa'ss", "s3cret", 'tok"en', "q-value", "header-1", "from-env-1", "literal")


def test_no_report_shows_a_secret_of_the_command_line(
    run: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, quoted, login, token, query, header, variable, literal = SECRETS
    script = f"""
secret = {literal!r}
ask('/criteria/judge', GOOD)
if os.environ["OPENPIPE_MOCK_VARIANT"]:
    sys.exit("it failed with " + {variable!r})
"""
    monkeypatch.setenv("MY_TOKEN_1", variable)
    words = [f"--api-key={key}", "--password", quoted, f"https://user:{login}@host/", "--token", token]
    words += [f"https://host/?api_key={query}", f"x-api-key: {header}", variable]
    reports = ("a.html", "a.xml", "a.json")
    flags = [word for name in reports for word in ("--report", name)]
    done = run(*flags, "--variants", "crlf", *client(script), *words)
    assert done.returncode == 90
    said_by_us = said(done)
    for text in (said_by_us, *((tmp_path / name).read_text("utf-8") for name in reports)):
        found = [secret for secret in SECRETS if secret in html.unescape(text).replace("'\"'\"'", "'")]
        assert found == []
    assert "--api-key=" in said_by_us


def test_no_report_holds_a_real_key(run: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-live-1234567890abcdef"
    script = f"# {key}\nask('/chat/completions', {{'model': 'm', 'messages': [], 'user': {key!r}, 'n': '1'}})"
    names = ("a.html", "a.xml", "a.json")
    words = [word for name in names for word in ("--report", name)]
    for name in ("OPENPIPE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, key)
    done = run(*words, "--validation", "lenient", *client(script))
    assert done.returncode == 90
    for text in (done.stderr, *((tmp_path / name).read_text("utf-8") for name in names)):
        assert key not in text


EVIL = '<script>alert("1")</script>&\x00\x1b[2J'
BREACH = Breach("judge", f"/x: {EVIL}", ("default-1", "default-2"))
LAPSE = Lapse(CONDUCT_RULES[0], (Sight("default-1", EVIL),))
PLAIN = Run(None, 0, 1.25, {"judge": 3}, (BREACH,), (LAPSE,), new=(BREACH,))
VARIED = Run(
    VARIANTS[0], 1, 0.5, {"judge": 3, EVIL: 1}, (BREACH,), (LAPSE,), 5, "the command ended with 1, not with 0"
)
VERDICT = Verdict(EVIL, (PLAIN, VARIED), 0, "openpipe-mock exec -- npm test", planned=3)
GOOD = Verdict("npm test", (Run(None, 0, 1.0, {"judge": 1}),), 0, "openpipe-mock exec -- npm test")
SILENT = Verdict("npm test", (Run(None, 0, 1.0, {}),), 0, "openpipe-mock exec -- npm test")


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_escaped_whole_and_fit_for_phones() -> None:
    page = clientreport.exec_page(VERDICT)
    tags = Tags(page)
    assert tags.seen.count("script") == page.count("<script") == 1, "its own, which copies commands"
    assert tags.open == []
    assert "width=device-width" in page
    assert "prefers-color-scheme:dark" in page
    assert "http" not in page


def test_a_page_on_which_nothing_is_wrong() -> None:
    page = clientreport.exec_page(GOOD)
    assert "Nothing broke." in page
    assert "is-kept" in page
    assert "None." in page


def test_junit_holds_whatever_was_seen() -> None:
    suite = fromstring(clientreport.exec_junit(VERDICT))[0]
    assert [case.get("name") for case in suite] == ["plain", VARIANTS[0].name]
    assert [case.find("failure") is not None for case in suite] == [True, True]
    assert clientreport.exec_junit(GOOD).count("<failure") == 0
    failed = Verdict("x", (Run(None, 3, 1.0, {}),), 0, "")
    assert 'message="ended with 3"' in clientreport.exec_junit(failed)


def test_json_says_all_of_it() -> None:
    told = json.loads(clientreport.exec_json(VERDICT))
    assert told["exit_code"] == 90
    plain, varied = told["runs"]
    assert (plain["variant"], varied["variant"]["seed"]) == (None, VARIANTS[0].seed)
    assert [each["new"] for each in (*plain["violations"], *varied["violations"])] == [True, False]
    assert varied["again"] == f"openpipe-mock exec --variant {VARIANTS[0].name} -- npm test"
    assert plain["warnings"][0]["rule"] == CONDUCT_RULES[0].name


def test_the_text_says_what_a_run_did_not_keep_and_each_rule_once() -> None:
    text = "\n".join(clientreport.exec_text(VERDICT))
    assert f"{VARIANTS[0].name}: 5 requests came behind those that a run keeps" in text
    assert text.count(CONDUCT_RULES[0].sentence) == 1
    assert "1 variant not tried: they would test nothing" in text


@pytest.mark.parametrize(
    ("code", "stopped_by", "reason"),
    [(1, 0, "the plain run has to pass first"), (143, 15, "a signal ended it")],
)
def test_the_text_says_why_variants_were_not_tried(code: int, stopped_by: int, reason: str) -> None:
    runs = (Run(None, code, 1.0, {"judge": 1}),)
    verdict = Verdict("x", runs, 0, "", stopped_by, planned=3)
    assert f"2 variants not tried: {reason}" in list(clientreport.exec_text(verdict))


def test_runs_under_variants_that_asked_nothing_are_named_in_reports() -> None:
    runs = (Run(None, 0, 1.0, {"judge": 1}), Run(VARIANTS[0], 0, 1.0, {}))
    verdict = Verdict("x", runs, 0, "openpipe-mock exec -- x", planned=2)
    [note] = clientreport.notes(verdict)
    assert note.startswith(f"no request came under {VARIANTS[0].name}: ")
    assert 'class="unchecked">?' in clientreport.exec_page(verdict)
    assert [case.find("skipped") is not None for case in fromstring(clientreport.exec_junit(verdict))[0]] == [
        False,
        True,
    ]


def test_a_rule_that_a_variant_alone_shows_names_it() -> None:
    verdict = Verdict("x", (Run(None, 0, 1.0, {}), VARIED), 0, "openpipe-mock exec -- x", planned=2)
    assert f"warning ({VARIANTS[0].name}): {CONDUCT_RULES[0].name}: " in "\n".join(
        clientreport.exec_text(verdict)
    )


def test_many_breaks_are_cut_short_in_the_text_alone() -> None:
    many = tuple(Breach("judge", f"/{number}: wrong.", ("default-1",)) for number in range(30))
    verdict = Verdict("x", (Run(None, 0, 1.0, {}, many, new=many),), 0, "")
    text = "\n".join(clientreport.exec_text(verdict))
    assert "30 breaks of the contract:" in text
    assert "… and 10 more" in text
    assert len(json.loads(clientreport.exec_json(verdict))["runs"][0]["violations"]) == 30


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from openpipe_mock.cli.exec import tell

    tell(VERDICT, False)
    assert "\x1b" not in capsys.readouterr().err


# The page.


def test_the_page_says_what_is_said_where_nothing_is_tested() -> None:
    *_, shown = (block.code for block in blocks(PAGE) if block.language == "text")
    assert shown.splitlines() == [f"openpipe-mock: {line}" for line in clientreport.exec_text(SILENT)]


THREE = "kept-index,errored-criterion,no-done"


def test_the_pages_output_is_what_it_prints(tmp_path: Path) -> None:
    script, shown, _ = (block.code for block in blocks(PAGE) if block.language in ("python", "text"))
    (tmp_path / "client.py").write_text(script)
    words = ["--validation", "lenient", "--variants", THREE, "--", "python", "client.py"]
    assert f"openpipe-mock exec {' '.join(words)}" in PAGE
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = finished([*COMMAND, *words], {"PYTHONPATH": str(ROOT), "PATH": path}, cwd=tmp_path)
    lines = said(done).replace(f"{tmp_path}/", "").splitlines()
    assert [line for line in lines if set(line[14:]) - set(" ~^")] == shown.splitlines()
    assert f"ends with {done.returncode}" in PAGE
