"""Full disks and folders that are gone: one line, code 2, and what can be written is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import ROOT

pytestmark = pytest.mark.slow

COMMANDS = (
    ("config", "example"),
    ("config", "schema"),
    ("generate", "judge", "--count", "300"),
    ("contract", "http://127.0.0.1:9"),
    ("schemas", "check"),
    ("--help",),
    ("exec", "--help"),
)


def done(*command: str, folder: Path, output: str = "") -> "subprocess.CompletedProcess[str]":
    """A command that runs in a folder, which is deleted if `output` is "gone"."""
    leave = f'rmdir "{folder}"' if output == "gone" else ":"
    shell = f'cd "{folder}" && {leave}; exec "$@"'
    program = ("bash", "-c", shell, "bash", sys.executable, "-m", "openpipe_mock")
    with open("/dev/full" if output == "full" else "/dev/null", "w") as file:
        return subprocess.run([*program, *command], stdout=file, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_standard_output_is_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    ended = done(*command, folder=tmp_path, output="full")
    told = "openpipe-mock: standard output can't be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (2, told)


@pytest.mark.parametrize(
    "command",
    [
        ("contract", "http://127.0.0.1:9"),
        ("exec", "--report", "a.json", "--", "true"),
        ("record", "--cassette", "c", "--upstream", "http://127.0.0.1:9"),
    ],
    ids=" ".join,
)
def test_a_working_folder_that_is_gone_is_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    ended = done(*command, folder=folder, output="gone")
    told = "openpipe-mock: the working folder is gone; change to one that is there\n"
    assert (ended.returncode, ended.stderr) == (2, told)


def test_a_report_that_cannot_be_written_costs_neither_the_others_nor_the_verdict(tmp_path: Path) -> None:
    whole, full = tmp_path / "whole.json", "/dev/full"
    files = ("--json", full, "--junit", str(tmp_path / "a.xml"), "--html", str(tmp_path / "a.html"))
    told = "openpipe-mock: /dev/full can't be written: No space left on device"
    verdict = done("contract", "http://127.0.0.1:9", "--json", str(whole), folder=tmp_path)
    ended = done("contract", "http://127.0.0.1:9", *files, folder=tmp_path)
    assert told in ended.stderr.splitlines()
    assert ended.returncode == verdict.returncode != 0
    assert (tmp_path / "a.xml").exists()
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("exec", "--report", "{folder}/a.json", "--report", "/proc/a.json", "--", "true"),
            "/proc/a.json can't be written: No such file or directory",
        ),
        (
            ("record", "--cassette", "/proc/c", "--port=0", "--upstream", "http://127.0.0.1:9"),
            "cannot write recordings into /proc/c: No such file or directory",
        ),
        (
            ("config", "check", str(ROOT / "examples" / "openpipe-mock.yaml"), "--freeze", "/proc/x"),
            "/proc/x: No such file or directory",
        ),
        (
            (
                "schemas",
                "convert",
                str(ROOT / "schemas" / "sources" / "judge-criteria.md"),
                "--into",
                "shopping",
            ),
            "shopping is no OpenAPI document: expected `openapi: 3.1.0` in it; nothing was written",
        ),
    ],
    ids=["exec", "record", "config", "schemas"],
)
def test_what_cannot_be_written_is_one_line(command: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "shopping").write_text("milk: 2\n")
    ended = done(*(word.replace("{folder}", str(tmp_path)) for word in command), folder=tmp_path)
    assert ended.stderr.splitlines()[-1] == f"openpipe-mock: {told}"
    assert ended.returncode == (1 if command[0] == "schemas" else 2)
    assert (tmp_path / "shopping").read_text() == "milk: 2\n"
    assert (tmp_path / "a.json").exists() is (command[0] == "exec")


def test_a_full_standard_error_costs_no_exit_code(tmp_path: Path) -> None:
    shell = 'exec "$@" 2>/dev/full'
    program = ("bash", "-c", shell, "bash", sys.executable, "-m", "openpipe_mock")
    assert subprocess.run([*program, "config", "check", "nothing"], cwd=tmp_path).returncode == 2
