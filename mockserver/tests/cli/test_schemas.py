"""`openpipe-mock schemas`: the shipped document passes its own check, and each kind of fault is found."""

import copy
import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from openpipe_mock.cli.main import main
from openpipe_mock.core.resources import folder, install_line
from openpipe_mock.openapi.conversion.convert import convert_page, dump
from openpipe_mock.openapi.conversion.upkeep import problems
from openpipe_mock.openapi.spec import contract

Json = Any
DOCUMENT = folder("schemas") / "openapi.yaml"
PAGE = folder("schemas") / "sources" / "judge-criteria.md"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["schemas", *arguments])


def faults(tmp_path: Path, change: Callable[[Json], object]) -> list[str]:
    """What the check finds in the shipped document after a change."""
    document = copy.deepcopy(dict(contract().document))
    change(document)
    path = tmp_path / "openapi.yaml"
    path.write_text(json.dumps(document), "utf-8")  # YAML reads it too, and it is written in no time
    return list(problems(path))


def test_the_shipped_document_has_no_problems() -> None:
    result = run("check")
    assert (result.exit_code, result.output) == (0, "openapi.yaml: no problems\n")


@pytest.mark.slow
def test_the_shipped_document_is_what_regenerating_writes(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_bytes(DOCUMENT.read_bytes())
    assert run("convert", str(PAGE), "--into", str(path)).exit_code == 0
    assert path.read_bytes() == DOCUMENT.read_bytes()


@pytest.mark.parametrize("content", ["milk: 2\n", "openapi: 2.0.0\n", "- milk\n", "info: {title: x}\n"])
def test_a_file_that_is_no_document_is_not_written_to(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shopping.yaml"
    path.write_text(content)
    result = run("convert", str(PAGE), "--into", str(path))
    assert (result.exit_code, path.read_text()) == (1, content)
    assert f"{path} is no OpenAPI document" in result.output


def test_a_document_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told by one line, the document is whole, and nothing lies beside it."""
    path = tmp_path / "openapi.yaml"
    path.write_text("openapi: 3.1.0\n")

    def full(there: Path, data: bytes) -> int:
        with there.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(there))

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run("convert", str(PAGE), "--into", str(path))
    assert (result.exit_code, path.read_text()) == (1, "openapi: 3.1.0\n")
    assert result.output == f"openpipe-mock: {path}: No space left on device\n"
    assert [each.name for each in tmp_path.iterdir()] == ["openapi.yaml"]


def test_a_document_is_replaced_behind_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    path, link = tmp_path / "openapi.yaml", tmp_path / "link.yaml"
    path.write_text("openapi: 3.1.0\n")
    path.chmod(0o640)
    link.symlink_to(path)
    assert run("convert", str(PAGE), "--into", str(link)).exit_code == 0
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert "/criteria/judge" in path.read_text()


NOTHING = {"204": {"description": "Nothing."}}
NO_OPENAPI: dict[str, tuple[Callable[[Json], object], str]] = {
    "a missing member": (lambda document: document["info"].pop("title"), '/info: "title" is missing.'),
    "another type": (
        lambda document: document["info"].update(title=3),
        "/info/title: expected string, got the number 3.",
    ),
    "a value that is none of those that there are": (
        lambda document: document["components"]["parameters"]["OpCache"].update({"in": "body"}),
        'OpenAPI 3.1 doesn\'t allow the string "body" here, by "enum" in its schema.',
    ),
    "an unknown path": (
        lambda document: document["paths"].update(x={}),
        '/paths: OpenAPI 3.1 has no "x" here.',
    ),
    "a parameter that is not declared": (
        lambda document: document["paths"].update({"/x/{id}": {"get": {"responses": NOTHING}}}),
        "the document contradicts itself: ",
    ),
}


@pytest.mark.parametrize("name", NO_OPENAPI)
def test_a_document_that_is_no_openapi_is_named_in_our_words(tmp_path: Path, name: str) -> None:
    spoil, sentence = NO_OPENAPI[name]
    [fault] = faults(tmp_path, spoil)
    assert sentence in fault
    assert len(fault.splitlines()) == 1


def test_a_judge_part_that_differs_from_its_page_is_named(tmp_path: Path) -> None:
    def bound_the_score(document: Json) -> None:
        document["components"]["schemas"]["JudgeCriteriaResponse"]["properties"]["score"]["maximum"] = 1000

    [fault] = faults(tmp_path, bound_the_score)
    assert "JudgeCriteriaResponse" in fault
    assert "make schemas" in fault


def test_an_example_that_breaks_its_schema_is_named(tmp_path: Path) -> None:
    def misspell(document: Json) -> None:
        content = document["paths"]["/chat/completions"]["post"]["requestBody"]["content"]
        content["application/json"]["examples"]["best_of_n"]["value"]["n"] = 1.5

    [fault] = faults(tmp_path, misspell)
    place = "/paths/~1chat~1completions/post/requestBody/content/application~1json/examples/best_of_n"
    assert fault == f"{place}/n: expected a whole number or null, got the number 1.5."


@pytest.mark.parametrize(
    ("name", "example"), [("ChatCompletionChunk", {"id": 1}), ("ChatCompletionChunk", "no chunk")]
)
def test_an_example_inside_a_schema_is_checked(tmp_path: Path, name: str, example: Json) -> None:
    found = faults(
        tmp_path, lambda document: document["components"]["schemas"][name]["examples"].append(example)
    )
    assert found
    assert all(fault.startswith(f"/components/schemas/{name}/examples/") for fault in found)


def test_the_example_of_a_parameter_is_checked(tmp_path: Path) -> None:
    def misspell(document: Json) -> None:
        document["components"]["parameters"]["OpCache"]["example"] = "readwrite"

    [fault] = faults(tmp_path, misspell)
    assert fault.startswith("/components/parameters/OpCache/example")


def test_problems_make_the_check_fail_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "openpipe_mock.openapi.conversion.upkeep.problems", lambda: iter(["/a: is wrong", "/b: is wrong"])
    )
    result = run("check")
    assert (result.exit_code, result.output) == (1, "/a: is wrong\n/b: is wrong\nopenapi.yaml: 2 problems\n")


def test_without_its_extra_the_check_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openapi_spec_validator", None)
    result = run("check")
    assert result.exit_code == 2
    assert install_line("contract") in result.stderr


def test_a_page_is_read_to_its_end_and_no_further(tmp_path: Path) -> None:
    crlf = tmp_path / "page.md"
    crlf.write_bytes(PAGE.read_bytes().replace(b"\n", b"\r\n"))
    assert run("convert", str(crlf)).output == run("convert", str(PAGE)).output
    for flags in ([], ["--into", "/dev/zero"]):
        result = run("convert", str(PAGE) if flags else "/dev/zero", *flags)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "openpipe-mock: /dev/zero: it has more than 64 MiB" in result.stderr


def test_a_page_is_printed_as_openapi() -> None:
    result = run("convert", str(PAGE))
    assert result.exit_code == 0
    assert result.output == dump(convert_page(PAGE.read_text("utf-8")), header=())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            b"# A page\n\nwithout a block.\n",
            "page: expected one fenced YAML block, found 0; convert page by page",
        ),
        (b"a\n\xff\xfe", "2:1: byte 0xff, number 3 of the file, is not UTF-8; save the file as UTF-8."),
    ],
)
def test_a_page_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "page.md"
    path.write_bytes(content)
    result = run("convert", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"openpipe-mock: {path}: {why}\n"


def test_a_document_that_is_not_there_is_no_place_to_write_to(tmp_path: Path) -> None:
    result = run("convert", str(PAGE), "--into", str(tmp_path / "missing.yaml"))
    assert result.exit_code == 2
    assert "isn't there." in result.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"1", "expected a mapping"),
        (b"x: [", "2:1: this is not YAML: the text ends too early, while a bracket is still open; close it."),
        (b"\xff", "1:1: byte 0xff, number 1 of the file, is not UTF-8; save the file as UTF-8."),
        (
            b"!!python/object:os.system {}",
            "1:1: the tag !!python/object:os.system is not read; write plain data.",
        ),
    ],
)
def test_a_document_that_is_none_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_bytes(content)
    result = run("convert", str(PAGE), "--into", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"openpipe-mock: {path} is no OpenAPI document: {why}\n"
    assert path.read_bytes() == content


def test_an_empty_document_takes_the_whole_page(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.touch()
    assert run("convert", str(PAGE), "--into", str(path)).exit_code == 0
    assert yaml.safe_load(path.read_bytes()) == convert_page(PAGE.read_text("utf-8"))
