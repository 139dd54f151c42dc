"""The wheel and the sdist: what is in them, and that they run from any folder once installed."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import httpx
import pytest

from openpipe_mock import __version__
from openpipe_mock.core.resources import SOURCE
from tests.environments import ROOT, built, here, installed
from tests.live import clean, finished, run, serving, untimed

pytestmark = pytest.mark.slow

INSTALLED = ["wheel", "sdist"]
"""The wheel is installed alone, the sdist with all extras."""
HOSTILE = {
    "schemas.py": "raise RuntimeError('a foreign schemas.py was imported')",
    "contract_tests.py": "raise RuntimeError('a foreign contract_tests.py was imported')",
    "openpipe_mock.py": "raise RuntimeError('a foreign openpipe_mock.py was imported')",
    "conftest.py": "raise RuntimeError('a foreign conftest.py was imported')",
    "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder as a user may have it, with modules that bear our names."""
    for name, content in HOSTILE.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def in_wheel() -> list[str]:
    with zipfile.ZipFile(built(".whl")) as wheel:
        return wheel.namelist()


def in_sdist() -> list[str]:
    with tarfile.open(built(".tar.gz")) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def shipped(folder: str) -> Iterator[str]:
    """The files of a folder of this checkout that users get."""
    for path in (ROOT / folder).rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and "__pycache__" not in name and "/tests/" not in name:
            yield name


def test_the_wheel_takes_one_name_in_site_packages() -> None:
    assert {name.partition("/")[0] for name in in_wheel()} == {
        "openpipe_mock",
        f"openpipe_mock-{__version__}.dist-info",
    }


def test_the_wheel_holds_the_package_and_its_schemas_without_tests() -> None:
    modules = [name.removeprefix("mockserver/") for name in shipped("mockserver/openpipe_mock")]
    data = [*shipped("schemas"), *shipped("contract_tests"), "examples/openpipe-mock.yaml"]
    names = [name for name in in_wheel() if ".dist-info/" not in name]
    assert sorted(names) == sorted([*modules, *(f"openpipe_mock/{name}" for name in data)])


def test_the_wheel_says_that_it_is_typed_and_licensed() -> None:
    assert "openpipe_mock/py.typed" in in_wheel()
    assert f"openpipe_mock-{__version__}.dist-info/licenses/LICENSE" in in_wheel()


def test_the_wheel_s_requirements_are_those_of_running_the_mock() -> None:
    with zipfile.ZipFile(built(".whl")) as wheel:
        text = wheel.read(f"openpipe_mock-{__version__}.dist-info/METADATA").decode()
    required = [
        line for line in HeaderParser().parsestr(text).get_all("Requires-Dist", []) if "extra" not in line
    ]
    names = {re.split(r"[<>=; ]", line)[0] for line in required}
    assert names.isdisjoint({"pytest", "hypothesis", "httpx", "jsonschema"})
    assert {"starlette", "uvicorn", "click"} <= names


def test_the_sdist_holds_what_building_and_testing_need() -> None:
    needed = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "mockserver/tests/conftest.py"}
    assert needed | {*shipped("mockserver"), *shipped("schemas")} <= set(in_sdist())


def test_wheel_and_sdist_hold_the_files_of_the_page() -> None:
    names = {path.name for path in (ROOT / "mockserver/openpipe_mock/dashboard/assets").iterdir()}
    assert {"index.html", "style.css", "app.js"} <= names
    folder = "openpipe_mock/dashboard/assets"
    assert {f"{folder}/{name}" for name in names} <= set(in_wheel())
    assert {f"mockserver/{folder}/{name}" for name in names} <= set(in_sdist())


def test_the_sdist_holds_nothing_that_was_only_lying_around() -> None:
    ours = {"mockserver", "schemas", "contract_tests", "docs", "examples", "benchmarks"}
    folders = {name.partition("/")[0] for name in in_sdist() if "/" in name}
    assert folders <= ours
    assert not [name for name in in_sdist() if name.endswith(".pyc")]


@pytest.mark.parametrize("environment", INSTALLED)
def test_an_installed_mock_serves_from_a_hostile_folder(environment: str, hostile: Path) -> None:
    program = [installed(environment, "openpipe-mock")]
    with serving("--quiet", command=program, cwd=hostile) as live:
        answer = httpx.post(
            f"{live.base_url}/criteria/judge",
            json={"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}},
            headers={"Authorization": "Bearer op-local"},
        )
        assert answer.status_code == 200, live.log.read_text()
        assert httpx.get(live.origin).status_code == 200
        assert httpx.get(f"{live.control_url}/dashboard/app.js").status_code == 200


@pytest.mark.parametrize("environment", INSTALLED)
def test_an_installed_mock_is_the_package_and_not_this_checkout(environment: str, hostile: Path) -> None:
    where = "import openpipe_mock.core.resources as r; print(r.folder('schemas'))"
    printed = run([installed(environment, "python"), "-P", "-c", where], cwd=hostile)
    assert "site-packages/openpipe_mock/schemas" in printed


def test_the_sdist_with_its_extras_checks_the_schemas(hostile: Path) -> None:
    done = finished([installed("sdist", "openpipe-mock"), "schemas", "check"], cwd=hostile)
    assert done.returncode == 0, done.stderr


def test_the_plain_wheel_says_which_extra_checking_the_schemas_needs(hostile: Path) -> None:
    done = finished([installed("wheel", "openpipe-mock"), "schemas", "check"], cwd=hostile)
    assert done.returncode == 2
    assert f"is missing: pip install '{SOURCE}[contract]'  # a checkout or a built wheel" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("environment", [*INSTALLED, "checkout"])
def test_the_command_tells_the_package_s_version(environment: str) -> None:
    program = here("openpipe-mock") if environment == "checkout" else installed(environment, "openpipe-mock")
    assert run([program, "--version"]).split()[:2] == ["openpipe-mock", __version__]
    assert built(".whl").name.split("-")[1] == __version__


def test_serving_imports_no_tool_for_testing() -> None:
    """Neither the command nor a server that has judged; the interpreter itself lists what it imports."""
    with serving("--quiet", environment={"PYTHONPROFILEIMPORTTIME": "1"}) as live:
        httpx.post(
            f"{live.base_url}/criteria/judge",
            json={"criterion_id": "helpful", "output": {"role": "assistant"}},
            headers={"Authorization": "Bearer op-local"},
        ).raise_for_status()
        live.stop()
        lines = untimed(live.log.read_text()).splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert {"openpipe_mock", "uvicorn"} <= imported
    assert imported.isdisjoint(
        {"pytest", "_pytest", "hypothesis", "httpx", "jsonschema", "openapi_spec_validator"}
    )


def test_the_package_imports_nothing_heavy_by_its_name_alone() -> None:
    names = run([here("python"), "-c", "import openpipe_mock, sys; print(*sys.modules)"], clean()).split()
    assert {"starlette", "uvicorn", "click", "yaml"}.isdisjoint(names)
