"""`openpipe-mock contract` and `explain` as users run them, and the suite run by pytest itself."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from openpipe_mock.cli.contract import contract_command, explain_command, live, painted, rerun, waiting
from openpipe_mock.contract.run import undisturbed
from openpipe_mock.contract.target import RunOptions
from tests.contract.test_running import Watching
from tests.environments import ROOT, here
from tests.live import Live, finished
from tests.reference.habits import Habits
from tests.reference.http import CHAT, JUDGE, App, Event, Receive, Send
from tests.reference.mutants import mutants
from tests.reference.mutation import having
from tests.reference.server import KEY, Reference
from tests.reference.serving import Stage
from tests.reference.serving import live as staged
from tests.test_packaging import HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.measured]

KNOWS = ["--api-key", KEY, "--model", "reference", "--timeout", "20"]
FEW = ["--only", "chat.choices", "--only", "judge.errors.malformed_json"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(Reference()) as stage:
        yield stage


@pytest.fixture(scope="module", autouse=True)
def no_key_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENPIPE_API_KEY", raising=False)
        yield


def running(*words: str) -> Result:
    return CliRunner().invoke(contract_command, list(words))


def mutant(stage: Stage, name: str) -> None:
    stage.app = next(each for each in mutants() if each.name == name).make(Habits())


def test_a_kept_contract_ends_with_0_and_says_so(stage: Stage) -> None:
    stage.app = Reference()
    done = running(stage.base_url, *KNOWS, *FEW)
    assert done.exit_code == 0, done.output
    assert f"Contract suite against {stage.base_url}" in done.stdout
    assert "plan: " in done.stdout
    assert "The contract is kept." in done.stdout
    assert "checks, " in done.stderr


def test_a_broken_one_ends_with_1_and_writes_what_was_asked_for(stage: Stage, tmp_path: Path) -> None:
    mutant(stage, first_killed_by("criteria.sorted"))
    files = {name: tmp_path / name for name in ("a.json", "a.xml", "a.html", "a.md", "a.yaml")}
    flags = ["--json", "--junit", "--html", "--summary", "--write-known"]
    given = [word for pair in zip(flags, map(str, files.values()), strict=True) for word in pair]
    only = ["--only", "criteria.sorted"]
    done = running(stage.base_url, *KNOWS, *only, *given)
    assert done.exit_code == 1, done.output
    assert "  1. criteria.sorted  " in done.stdout
    assert "\x1b" not in done.stdout, "colours are for a terminal"
    assert json.loads(files["a.json"].read_text())["verdict"] == "broken"
    assert "criteria.sorted" in files["a.html"].read_text()
    assert "<failure" in files["a.xml"].read_text()
    assert files["a.md"].read_text().startswith("## ")
    assert all(KEY not in path.read_text() for path in files.values())
    assert KEY not in done.output
    again = running(stage.base_url, *KNOWS, *only, "--known", str(files["a.yaml"]))
    assert again.exit_code == 0, again.output
    assert "Known deviations" in again.stdout
    same = running(stage.base_url, *KNOWS, *only, "--baseline", str(files["a.json"]))
    assert same.exit_code == 0
    assert "No new break; 1 as in the baseline." in same.stdout
    assert "Unchanged since the baseline: criteria.sorted" in same.stdout


def test_verbose_has_each_check_with_its_curl_line(stage: Stage) -> None:
    mutant(stage, first_killed_by("criteria.sorted"))
    words = [stage.base_url, *KNOWS, "--only", "criteria.sorted"]
    assert "curl -sS" not in running(*words).stdout
    told = running(*words, "--verbose").stdout
    assert "BROKEN criteria.sorted" in told
    assert "curl -sS" in told


def test_a_verdict_is_coloured_unless_that_is_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted("broken", "x") == click.style("x", "red", bold=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("broken", "x") == "x"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{id: criteria.sortd, reason: x, expires: 2030-01-01}", "Did you mean criteria.sorted?"),
        (
            "{id: judge.rejects.Tool.tpe, reason: x, expires: 2030-01-01}",
            "Did you mean judge.rejects.Tool.type?",
        ),
        ("{id: criteria.sorted, reason: x, expires: 2026-02-30}", "expires is no date"),
    ],
)
def test_a_known_deviation_that_makes_no_sense_ends_with_2(entry: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "known.yaml").write_text(f"- {entry}")
    done = running("http://127.0.0.1:9", "--known", str(tmp_path / "known.yaml"))
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert done.stdout == "", "before anything is sent"


def test_an_unchanged_server_does_not_fail_by_its_own_baseline(tmp_path: Path) -> None:
    """Though it breaks checks, has no judge, and is too much for the budget."""
    app = having(CHAT, object="wrong")(Habits())
    flags = [*KNOWS, "--max-requests", "50", "--json", str(tmp_path / "last.json")]
    with staged(without_judge(app)) as stage:
        first = running(stage.base_url, *flags)
        assert first.exit_code == 1
        again = running(stage.base_url, *flags, "--baseline", str(tmp_path / "last.json"), "--jobs", "1")
    assert again.exit_code == 0, again.output
    assert "New since the baseline: none" in again.stdout
    assert "Not judged: judge was not judged." in again.stdout
    assert json.loads((tmp_path / "last.json").read_text())["baseline"]["new"] == []


def without_judge(app: App) -> App:
    async def served(scope: Event, receive: Receive, send: Send) -> None:
        path = "/nowhere" if scope["path"] == JUDGE else scope["path"]
        await app({**scope, "path": path}, receive, send)

    return served


def first_killed_by(check: str) -> str:
    return next(each.name for each in mutants() if each.kills == check)


def test_no_verdict_ends_with_3(stage: Stage) -> None:
    stage.app = Reference()
    done = running(stage.base_url, "--model", "reference", *FEW)
    assert done.exit_code == 3
    assert '". Pass a key that it knows with --api-key' in done.stdout


def test_a_dry_run_ends_with_0_and_needs_no_server() -> None:
    done = running("http://127.0.0.1:9/api/v1", "--dry-run")
    assert done.exit_code == 0
    assert "judge.errors.malformed_json" in done.stdout
    assert "kept" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["not-a-url"], "http://"),
        (["http://127.0.0.1:9", "--only", "no.such"], "--only no.such: no check is called"),
        (["http://127.0.0.1:9", "--only", "criteria.sortd"], "Did you mean criteria.sorted?"),
        (["http://127.0.0.1:9", "--only", "judge.rejects.Tol.type"], "Did you mean judge.rejects.Tool.type?"),
        (["http://127.0.0.1:9", "--only", "chat.x.*"], "--only chat.x.*: no check is called"),
        (["http://127.0.0.1:9", "--latest", "x"], "--latest wants"),
        (["http://127.0.0.1:9", "--latest", "a=v²"], "--latest wants ID=vN, as criterion-1=v2; got a=v²"),
        (["http://127.0.0.1:9", "--timeout", "inf"], "--timeout wants seconds, from 0.001 to 3,600; got inf"),
        (["http://127.0.0.1:9", "--timeout", "nan"], "got nan"),
        (["http://127.0.0.1:9", "--timeout", "0"], "got 0.0"),
        (["http://127.0.0.1:9", "--timeout", "-1"], "got -1.0"),
        (["http://127.0.0.1:9", "--rate", "nan"], "--rate wants requests a second"),
        (
            ["http://127.0.0.1:9", "--jobs", "0"],
            "--jobs wants a number of requests at once, from 1 to 64; got 0",
        ),
        (["http://127.0.0.1:9", "--fuzz", "-1"], "--fuzz wants a number of requests"),
        (["http://127.0.0.1:9", "--max-requests", "0"], "--max-requests wants"),
        (["http://127.0.0.1:9", "--endpoint", "models"], "Invalid value"),
        (["http://127.0.0.1:9", "-k", "a and"], "-k a and: a word is missing at the end; write it as in -k"),
        (["http://127.0.0.1:9", "--known", "/no/such/file"], "/no/such/file"),
        (["http://127.0.0.1:9", "--baseline", "/no/such/file"], "/no/such/file"),
        (["http://127.0.0.1:9", "--write-known", "/etc/hostname"], "exists already"),
        (["http://127.0.0.1:9", "--level", "firm"], "Invalid value"),
        ([], "Missing argument"),
    ],
)
def test_a_command_that_makes_no_sense_ends_with_2(words: list[str], told: str) -> None:
    done = running(*words)
    assert done.exit_code == 2, done.output
    assert told in done.output


def unwritable(folder: Path) -> dict[str, list[str]]:
    """Flags for reports that can't be written, by what is told."""
    own = folder / "own.json"
    return {
        "there is no folder /no/such/folder": ["--json", "/no/such/folder/x.json"],
        f"there is no folder {folder}/a": ["--write-known", f"{folder}/a/b.yaml"],
        "is a folder": ["--html", str(folder)],
        "is named for two reports": ["--json", str(own), "--html", f"{folder}/../{folder.name}/own.json"],
    }


def test_a_report_that_can_t_be_written_is_refused_before_the_first_request(
    stage: Stage, tmp_path: Path
) -> None:
    stage.app = Watching()
    for told, flags in unwritable(tmp_path).items():
        done = running(stage.base_url, *KNOWS, *FEW, *flags)
        assert (done.exit_code, told in done.output) == (2, True), done.output
    assert stage.app.paths.total() == 0
    assert [*tmp_path.iterdir()] == []


def test_a_report_in_a_folder_of_somebody_else_is_refused(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.app = Watching()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    done = running(stage.base_url, *KNOWS, *FEW, "--junit", str(tmp_path / "own.xml"))
    assert done.exit_code == 2
    assert "own.xml can't be written: permission denied" in done.output
    assert stage.app.paths.total() == 0


def test_what_a_report_may_be_written_to_besides_files(stage: Stage) -> None:
    stage.app = Reference()
    done = running(stage.base_url, *KNOWS, *FEW, "--json", "/dev/null", "--html", "/dev/null")
    assert done.exit_code == 0, done.output


def test_a_key_that_is_withheld_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPIPE_API_KEY", "sk-of-the-environment")
    monkeypatch.setattr("openpipe_mock.contract.target.is_loopback", lambda url: False)
    done = running("http://127.0.0.1:9/api/v1", "--timeout", "1", *FEW)
    assert "--send-key sends it" in done.stdout
    assert "sk-of-the-environment" not in done.output


def test_the_command_that_asks_again_has_every_setting_but_the_key() -> None:
    options = RunOptions(
        "http://x/api/v1",
        criteria=("a@v1", "b c"),
        models=("m",),
        latest=("a=v1",),
        seed=7,
        level="source",
        api_key="sk-secret",
        thorough=True,
        fuzz=3,
    )
    assert rerun(options) == (
        "openpipe-mock contract http://x/api/v1 --seed 7 --level source --criterion a@v1 --criterion 'b c'"
        " --model m --latest a=v1 --thorough --fuzz 3"
    )


def test_on_a_terminal_progress_is_one_line() -> None:
    @click.command()
    def progress() -> None:
        judged = live()
        waiting(0)
        waiting(3.0)
        judged(1, 2, 1, 0)
        judged(2, 2, 2, 1)

    done = CliRunner().invoke(progress)
    assert "\n" not in done.stderr
    assert "1 of 2 checks, 1 requests" in done.stderr
    assert done.stderr.count("waiting") == 1
    assert "the server is busy (429): waiting 3 s" in done.stderr
    assert done.stderr.endswith("\r")


# explain


def test_explain_lists_all_and_tells_of_one() -> None:
    every = CliRunner().invoke(explain_command, [])
    assert every.exit_code == 0
    assert "criteria.sorted" in every.stdout
    one = CliRunner().invoke(explain_command, ["criteria.sorted"])
    assert "from highest to lowest" in one.stdout
    member = CliRunner().invoke(explain_command, ["judge.rejects.ToolMessage.required"])
    assert member.stdout.startswith("judge.rejects.ToolMessage.required\n")


def test_explain_of_an_unknown_id_ends_with_2_and_the_nearest() -> None:
    done = CliRunner().invoke(explain_command, ["criteria.sortd"])
    assert done.exit_code == 2
    assert "Did you mean criteria.sorted?" in done.output


def test_explain_makes_the_document() -> None:
    done = CliRunner().invoke(explain_command, ["--markdown"])
    assert done.stdout == (ROOT / "docs" / "checks.md").read_text("utf-8")


# Run by pytest, and from folders that are not ours.

PYTEST = (sys.executable, "-m", "pytest", "-p", "openpipe_mock.pytest_plugin", "-p", "no:cacheprovider", "-q")
SUITE = ("--pyargs", "openpipe_mock.contract_tests")


def aimed(exact: Live) -> list[str]:
    return ["--openpipe-url", exact.base_url, "--openpipe-level", "decision"]


def test_pytest_runs_the_suite(exact: Live, tmp_path: Path) -> None:
    done = finished([*PYTEST, *SUITE, *aimed(exact)], cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "warning" not in done.stdout.lower()


def test_processes_that_would_share_a_run_are_refused(tmp_path: Path) -> None:
    done = finished([*PYTEST, "-n", "2", *SUITE, "--openpipe-url", "http://127.0.0.1:9"], cwd=tmp_path)
    assert done.returncode == 4
    assert "leave out -n, and pass --openpipe-jobs N" in done.stderr


def test_under_pytest_one_endpoint_is_judged_alone(live: Live, tmp_path: Path) -> None:
    flags = ["--openpipe-endpoint", "judge", "--openpipe-only", "*.errors.malformed_json"]
    done = finished([*PYTEST, *SUITE, *aimed(live), *flags, "-vv"], cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "judge::errors::malformed_json PASSED" in done.stdout
    assert "chat" not in done.stdout


def test_under_pytest_no_verdict_is_a_failed_item(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/api/v1"
    done = finished([*PYTEST, *SUITE, "--openpipe-url", url], cwd=tmp_path)
    assert done.returncode == 1
    assert "reachability.judge" in done.stdout
    assert "nothing listens there" in done.stdout
    assert "2 failed" in done.stdout
    assert " passed" not in done.stdout


def test_under_pytest_a_break_tells_its_story(stage: Stage, tmp_path: Path) -> None:
    mutant(stage, first_killed_by("criteria.sorted"))
    flags = ["--openpipe-url", stage.base_url, "--openpipe-api-key", KEY, "--openpipe-model", "reference"]
    done = finished([*PYTEST, *SUITE, *flags, "--openpipe-only", "criteria.sorted"], cwd=tmp_path)
    assert done.returncode == 1
    for part in ("criteria.sorted (documented)", "from highest to lowest", "remedy", "no falling order"):
        assert part in done.stdout
    assert KEY not in done.stdout


def pytest_here(*words: str) -> int:
    """The exit code of pytest in this process."""
    again = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # the plugin is imported already
    with undisturbed():
        return int(pytest.main([*PYTEST[3:], *SUITE, *again, *words]))


def test_without_a_server_pytest_says_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    assert pytest_here() == 4
    assert "--openpipe-url" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("url", "problem"), [("nonsense", "has to begin with http://"), ("http://u:p@x/", "pass a key with")]
)
def test_a_url_that_makes_no_sense_is_a_usage_error(
    url: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pytest_here("--openpipe-url", url) == 4
    assert problem in capfd.readouterr().err


def test_the_plugin_does_nothing_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own() -> None:\n"
        "    ours = {'openpipe_mock.contract.probe', 'openpipe_mock.openapi.spec'}\n"
        "    heavy = {'httpx', 'hypothesis', 'starlette', *ours}\n"
        "    assert sorted(heavy.intersection(sys.modules)) == []\n"
    )
    done = finished([*PYTEST, "--disable-plugin-autoload", "-W", "error", str(tmp_path)], cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder as a user may have it, with modules and settings that bear our names."""
    for name, content in HOSTILE.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "contract_tests").mkdir()
    (tmp_path / "contract_tests" / "__init__.py").write_text("raise RuntimeError('foreign')")
    return tmp_path


def test_the_command_runs_from_a_hostile_folder(live: Live, hostile: Path) -> None:
    script = (
        "import click\nfrom openpipe_mock.cli.contract import contract_command, explain_command\n"
        "group = click.Group(commands=[contract_command, explain_command])\ngroup()\n"
    )
    environment = {"PYTEST_ADDOPTS": "--no-such-option", "PYTEST_PLUGINS": "no_such_plugin"}
    command: list[str | Path] = [
        here("python"),
        "-P",
        "-c",
        script,
        "contract",
        live.base_url,
        "--level",
        "decision",
        *FEW,
    ]
    done = finished(command, environment, cwd=hostile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The contract is kept." in done.stdout
    assert not (hostile / ".pytest_cache").exists()


def test_nothing_of_a_run_stays_behind_in_this_process(stage: Stage) -> None:
    stage.app = Reference()
    before = (list(sys.path), dict(os.environ))
    running(stage.base_url, *KNOWS, *FEW)
    after = dict(os.environ)
    after.pop("PYTEST_VERSION", None)
    before[1].pop("PYTEST_VERSION", None)
    assert (list(sys.path), after) == before
