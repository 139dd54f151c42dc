"""The pytest fixtures, in test runs of their own."""

import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from openpipe_mock.core.resources import install_line
from openpipe_mock.testing.clients import CLIENTS
from openpipe_mock.testing.live import LiveMock, LiveServer, serving
from openpipe_mock.testing.mock import MockError
from tests.live import INSTALLING, TRUSTING_NOBODY, clean, run

ROOT = Path(__file__).parents[3]
COMMON = """
import os

import httpx
import pytest

SERVICE = "https://api.openpipe.ai/api/v1"


def judge(base=SERVICE, criterion="helpful", **headers):
    body = {"criterion_id": criterion, "output": {"role": "assistant", "content": "1, 2, 3."}}
    headers = {"authorization": "Bearer op-local", **headers}
    return httpx.post(f"{base}/criteria/judge", json=body, headers=headers)
"""
INI = "[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error\n"


def pytest_run(
    folder: Path,
    tests: Mapping[str, str],
    *flags: str,
    plugins: Iterable[str] = ("openpipe_mock.testing.fixtures",),
) -> "subprocess.CompletedProcess[str]":
    """A project of a user's, with these files of tests, tested with these plugins and no others."""
    (folder / "pytest.ini").write_text(INI)
    for name, code in tests.items():
        (folder / f"test_{name}.py").write_text(COMMON + code)
    loaded = [word for plugin in plugins for word in ("-p", plugin)]
    environment = clean(
        {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OPENAI_API_KEY": "sk-real",
            **TRUSTING_NOBODY,
        }
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", *loaded, "-rA", *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=INSTALLING,
        check=False,
    )


def outcomes(done: "subprocess.CompletedProcess[str]", name: str = "") -> dict[str, str]:
    """Test → what became of it; those of one file, where it is named."""
    words = ("PASSED", "FAILED", "ERROR")
    lines = (line.split() for line in done.stdout.splitlines())
    found = [(line[0], *line[1].partition("::")) for line in lines if line and line[0] in words]
    return {test: outcome for outcome, file, _, test in found if not name or file == f"test_{name}.py"}


GOOD = """
def test_scripted(openpipe_mock):
    openpipe_mock.criterion("helpful").score(0.7)
    assert judge().json()["score"] == 0.7
    openpipe_mock.judged("helpful", output="1, 2, 3.", times=1)


def test_each_test_has_a_mock_of_its_own(openpipe_mock):
    assert openpipe_mock.calls == []


@pytest.mark.openpipe(answers=2, seed=7, validation="lenient")
@pytest.mark.openpipe(config={"criteria": {"helpful": {"score": 0.2}}})
class TestMarked:
    def test_of_a_class(self, openpipe_mock):
        assert openpipe_mock.service.settings.seed == 7
        assert judge().json()["score"] == 0.2

    @pytest.mark.openpipe(seed=8)
    def test_the_nearest_marker_wins(self, openpipe_mock, openpipe_server):
        for mock in (openpipe_mock, openpipe_server):
            settings = mock.session.settings(mock.service.settings)
            assert (settings.seed, settings.validation) == (8, "lenient")


@pytest.mark.openpipe(config="mock.yaml")
def test_a_config_beside_the_test(openpipe_mock):
    assert judge().json()["score"] == 0.125


@pytest.mark.openpipe(providers="refuse", block_network=True)
def test_the_options_of_a_mock_in_process_do_not_disturb_a_server(openpipe_server):
    assert judge(openpipe_server.base_url).status_code == 200


def test_a_server(openpipe_server):
    openpipe_server.criterion("helpful").score(0.3)
    openpipe_server.fault(status=503, first=1)
    assert openpipe_server.environment["OPENPIPE_BASE_URL"] == openpipe_server.base_url
    assert [judge(openpipe_server.base_url).status_code for _ in range(2)] == [503, 200]
    openpipe_server.judged("helpful", times=2)
    openpipe_server.reset()
    assert openpipe_server.calls == []


def test_each_test_has_a_session_of_its_own(openpipe_server):
    assert openpipe_server.calls == []
    assert judge(openpipe_server.base_url).json()["score"] != 0.3


def test_both_at_once(openpipe_mock, openpipe_server):
    judge()
    judge(openpipe_server.base_url)
    assert len(openpipe_mock.calls) == len(openpipe_server.calls) == 1


def test_keys_by_monkeypatch(monkeypatch, openpipe_mock):
    monkeypatch.setenv("OPENAI_API_KEY", "another")


def test_the_real_key_is_back():
    assert os.environ["OPENAI_API_KEY"] == "sk-real"
    assert "OPENPIPE_API_KEY" not in os.environ


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_on_anyio(openpipe_mock, anyio_backend):
    async with httpx.AsyncClient() as client:
        assert (await client.get(SERVICE)).status_code == 404


@pytest.mark.openpipe(strict=True, all_used=True, config={"criteria": {"helpful": {"score": 1}}})
def test_a_kept_contract(openpipe_mock):
    judge()
    judge(criterion=7, **{"x-mock-expect": "violation"})
"""


RESTORING = """
from unittest.mock import patch


@pytest.fixture
def early(monkeypatch):
    '''It ends after the mock, and puts back what it saw.'''
    return monkeypatch


@pytest.fixture
def late(openpipe_mock):
    with patch.dict(os.environ, {"OPENPIPE_API_KEY": "another"}):
        yield openpipe_mock


def test_undone(openpipe_mock, monkeypatch):
    monkeypatch.undo()
    assert os.environ["OPENAI_API_KEY"] == "op-local"


def test_undone_by_what_ends_after_it(early, openpipe_mock):
    early.undo()
    assert os.environ["OPENAI_API_KEY"] == "op-local"


def test_a_key_of_its_own(early, openpipe_mock):
    early.setenv("OPENAI_API_KEY", "another")
    early.delenv("OPENPIPE_API_KEY")
    early.setattr(httpx.HTTPTransport, "handle_request", None)


def test_what_a_mock_shows_is_put_back_with_all_else(early, openpipe_mock):
    for name in ("OPENAI_API_KEY", "OPENPIPE_API_KEY"):
        early.setenv(name, os.environ[name])


def test_by_another_fixture(late): ...


def test_within_a_test(early):
    from openpipe_mock import patched

    with patched():
        early.setenv("OPENAI_API_KEY", "another")


@pytest.fixture(autouse=True)
def others_see_nothing_of_it(request):
    assert os.environ["OPENAI_API_KEY"] == "sk-real"
    assert "OPENPIPE_API_KEY" not in os.environ
    assert httpx.HTTPTransport.handle_request.__module__ == "httpx._transports.default"


def test_last(): ...
"""


BAD = """
@pytest.mark.openpipe(strict=True)
def test_strict(openpipe_mock):
    judge(criterion=7)


@pytest.mark.openpipe(strict=True)
def test_strict_server(openpipe_server):
    judge(openpipe_server.base_url, criterion=7)


@pytest.mark.openpipe(sead=7)
def test_unknown(openpipe_mock): ...


@pytest.mark.openpipe(7)
def test_nameless(openpipe_server): ...


@pytest.mark.openpipe(config="nowhere.yaml")
def test_nowhere(openpipe_mock): ...


@pytest.mark.openpipe(config={"criteria": {"helpful": {"score": "high"}}})
def test_mistaken(openpipe_mock): ...


@pytest.mark.openpipe(seed="high")
def test_mistaken_server(openpipe_server): ...


@pytest.mark.openpipe(strict="yes")
def test_strict_in_words(openpipe_mock): ...


@pytest.mark.openpipe(config=7)
def test_config_of_another_type(openpipe_server): ...


@pytest.mark.openpipe(all_used=True, strict=True, config={"criteria": {"helpful": {"score": 1}}})
def test_all_used(openpipe_mock):
    judge(criterion=7)


@pytest.mark.openpipe(all_used="yes")
def test_all_used_in_words(openpipe_mock): ...


def test_exception(openpipe_mock):
    raise ZeroDivisionError


def test_a_script_that_never_fired(openpipe_mock, openpipe_server):
    openpipe_mock.completion("Sunny.", when={"last_user": "weather"})
    openpipe_server.completion("Rainy.")
    assert False


def test_scripts_that_fired(openpipe_mock):
    openpipe_mock.criterion("helpful").score(1)
    assert False


def test_nothing_is_patched():
    assert httpx.HTTPTransport.handle_request.__module__ == "httpx._transports.default"
    assert os.environ["OPENAI_API_KEY"] == "sk-real"
"""


FAILING = ("test_exception", "test_a_script_that_never_fired", "test_scripts_that_fired")
USED = ("openpipe_mock.testing.fixtures", "anyio.pytest_plugin")
"""The plugins of a project with these tests."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """A test run of a user's project with all of these files."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "mock.yaml").write_text("criteria: {helpful: {score: 0.125}}\n")
    return pytest_run(folder, {"good": GOOD, "restoring": RESTORING, "bad": BAD}, plugins=USED)


@pytest.mark.slow
def test_a_users_project(project: "subprocess.CompletedProcess[str]") -> None:
    found = outcomes(project, "good")
    assert set(found.values()) == {"PASSED"}, project.stdout
    assert len(found) == GOOD.count("def test_")


@pytest.mark.slow
def test_the_same_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "mock.yaml").write_text("criteria: {helpful: {score: 0.125}}\n")
    done = pytest_run(tmp_path, {"good": GOOD}, "-n", "2", plugins=[*USED, "xdist.plugin"])
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_ends_after_the_mock_leaves_nothing_of_it(project: "subprocess.CompletedProcess[str]") -> None:
    found = outcomes(project, "restoring")
    assert set(found.values()) == {"PASSED"}, project.stdout
    assert len(found) == RESTORING.count("def test_")


@pytest.mark.slow
def test_what_is_wrong_is_said(project: "subprocess.CompletedProcess[str]") -> None:
    done, found = project, outcomes(project, "bad")
    assert [found.pop(name) for name in FAILING] == ["FAILED"] * len(FAILING)
    assert done.stdout.count("scripts that never fired") == 2
    assert "openpipe_mock: scripts that never fired" in done.stdout
    assert "script /runtime/1: no completion was asked for" in done.stdout
    assert "\n  criterion helpful: nobody asked for it." in done.stdout
    assert "the marker openpipe has all_used='yes'; expected True or False." in done.stdout
    assert found.pop("test_nothing_is_patched") == "PASSED"
    assert set(found.values()) == {"ERROR"}
    assert done.stdout.count("1 of 1 requests broke the contract:") >= 2
    assert "/criterion_id: expected" in done.stdout
    assert "the marker openpipe has no option 'sead'" in done.stdout
    assert "takes its options by name, as in openpipe(seed=7)" in done.stdout
    assert "names a config file that isn't there" in done.stdout
    assert "openpipe_mock: /criteria/helpful/score: " in done.stdout
    assert "openpipe_server: /seed: " in done.stdout
    assert "the marker openpipe has strict='yes'; expected True or False." in done.stdout
    assert "openpipe_server: config: expected a file's path" in done.stdout
    assert "During handling of the above exception" not in done.stdout


WIDER = """
import threading

pytestmark = pytest.mark.openpipe(seed=3)


@pytest.fixture(scope="module")
def asked(openpipe_mock_module):
    openpipe_mock_module.criterion("helpful").score(0.3)
    return judge().json()["score"]


def test_of_the_module(asked, openpipe_mock_module, monkeypatch):
    assert asked == 0.3
    openpipe_mock_module.judged("helpful", times=1)
    assert openpipe_mock_module.service.settings.seed == 3
    monkeypatch.undo()
    assert os.environ["OPENPIPE_API_KEY"] == "op-local"


def test_without_naming_it():
    assert judge().json()["score"] == 0.3


@pytest.mark.openpipe(seed=4)
def test_of_the_test(openpipe_mock, openpipe_mock_module, openpipe_mock_session):
    assert openpipe_mock.service.settings.seed == 4
    openpipe_mock.criterion("helpful").score(0.4)
    assert judge().json()["score"] == 0.4
    thread = threading.Thread(target=judge)
    thread.start()
    thread.join()
    openpipe_mock.judged("helpful", times=2)
    openpipe_mock_module.judged("helpful", times=2)


def test_of_the_run(openpipe_mock_module, openpipe_mock_session):
    assert openpipe_mock_session.service.settings.seed == 9
    assert judge().json()["score"] == 0.3
    openpipe_mock_session.judged(times=0)
"""
LATER = """
def test_the_module_has_ended(openpipe_mock_session):
    openpipe_mock_session.criterion("helpful").score(0.2)
    assert judge().json()["score"] == 0.2


def test_the_run_goes_on():
    assert judge(criterion=7).status_code == 400
    assert os.environ["OPENAI_API_KEY"] == "op-local"
"""
OPTIONS = """
import os
import pytest


def pytest_sessionstart(session):
    session.add_marker(pytest.mark.openpipe(seed=9, config="run.yaml", strict=True))


@pytest.fixture(scope="session", autouse=True)
def the_real_key_comes_back():
    yield
    assert os.environ["OPENAI_API_KEY"] == "sk-real"
"""


@pytest.mark.slow
def test_wider_scopes(tmp_path: Path) -> None:
    """Each has options, calls and answers of its own; the narrowest answers, also in threads."""
    (tmp_path / "conftest.py").write_text(OPTIONS)
    (tmp_path / "run.yaml").write_text("criteria: {helpful: {score: 0.9}}\n")
    done = pytest_run(tmp_path, {"wider": WIDER, "zlast": LATER})
    found = outcomes(done)
    # The run's mock is strict: in the end its one bad request is told, with the last test.
    assert found.pop("test_the_run_goes_on") == "ERROR", done.stdout
    assert set(found.values()) == {"PASSED"}, done.stdout
    assert len(found) == (WIDER + LATER).count("def test_") - 1
    assert "1 of 2 requests broke the contract:" in done.stdout


@pytest.mark.slow
def test_what_is_wrong_with_a_wider_scope_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OPTIONS)
    done = pytest_run(tmp_path, {"theirs": "def test_it(openpipe_mock_session): ..."})
    assert outcomes(done) == {"test_it": "ERROR"}
    assert f"names a config file that isn't there: {tmp_path / 'run.yaml'}." in done.stdout


@pytest.mark.slow
def test_the_fixtures_explain_themselves(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, {}, "--fixtures", "--markers")
    assert "openpipe(**options)" in done.stdout


WITHOUT = """
import sys
from collections.abc import Iterator


def test_lean():
    heavy = {"respx", "jsonschema_rs", "orjson", "starlette", "uvicorn"}
    assert not heavy & set(sys.modules)


def test_missing(openpipe_mock): ...
"""


@pytest.mark.slow
def test_a_run_without_the_extra(tmp_path: Path) -> None:
    """The plugin loads, imports nothing of ours that is heavy, and the fixture says what to install."""
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "test_theirs.py").write_text(WITHOUT)
    hidden = (
        "import importlib.util as util, sys; find = util.find_spec; "
        f"util.find_spec = lambda name, *rest: None if name in {tuple(CLIENTS)} else find(name, *rest); "
        "import pytest; sys.exit(pytest.main(['-p', 'openpipe_mock.testing.fixtures', '-rA']))"
    )
    environment = clean({"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    done = subprocess.run(
        [sys.executable, "-c", hidden],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert outcomes(done) == {"test_lean": "PASSED", "test_missing": "ERROR"}, done.stdout
    assert install_line("fixtures") in done.stdout


@pytest.mark.slow
def test_the_package_alone_imports_nothing() -> None:
    told = run(
        [
            sys.executable,
            "-c",
            "import openpipe_mock, sys; print('httpx' in sys.modules, 'orjson' in sys.modules)",
        ]
    )
    assert told == "False False\n"


# The live server.


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with serving() as running:
        yield running


def test_a_live_mock_runs_in_real_time(server: LiveServer) -> None:
    mock = LiveMock(server, overrides={})
    with pytest.raises(MockError, match="real time"):
        mock.clock.advance(1)
    with pytest.raises(AssertionError, match=rf"Does the client send to {mock.base_url}\?$"):
        mock.judged()
    assert mock.now() > 0
    mock.close()


def test_a_stopped_clock_does_not_stop_a_live_mock(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As freezegun does it: in every module, whatever is `perf_counter` stands still."""
    mock = LiveMock(server, overrides={})
    before = mock.now()
    for name, module in list(sys.modules.items()):
        if name.startswith("openpipe_mock"):
            for attribute, value in list(vars(module).items()):
                if value is perf_counter:
                    monkeypatch.setattr(module, attribute, lambda: 1e9)
    assert before < mock.now() < before + 1000
    body = {"criterion_id": "helpful", "output": {"role": "assistant"}}
    key = {"authorization": "Bearer k"}
    assert httpx.post(f"{mock.base_url}/criteria/judge", json=body, headers=key).status_code == 200
    mock.judged("helpful", times=1)
    mock.close()


def test_a_live_mock_sees_whether_a_client_waits(server: LiveServer) -> None:
    mock = LiveMock(server, overrides={})
    mock.fault(status=429, retry_after=30, first=1)
    body = {"criterion_id": "helpful", "output": {"role": "assistant"}}
    for _ in range(2):
        httpx.post(f"{mock.base_url}/criteria/judge", json=body, headers={"authorization": "Bearer k"})
    assert [lapse.rule.name for lapse in mock.warnings()] == ["ignored-retry-after"]
    assert mock.warnings(timed=False) == ()
    mock.close()


def test_sessions_of_one_server_know_nothing_of_each_other(server: LiveServer) -> None:
    """Neither at the same time nor afterwards: a client of the test before may be late."""
    body = {"criterion_id": "helpful", "output": {"role": "assistant"}}
    before, one, other = (LiveMock(server, overrides={"seed": seed}) for seed in range(3))
    before.close()
    one.criterion("helpful").score(0.1)
    other.criterion("helpful").score(0.2)
    scores = []
    for mock in (one, before, other, one):
        found = httpx.post(
            f"{mock.base_url}/criteria/judge", json=body, headers={"authorization": "Bearer k"}
        )
        scores.append(found.json()["score"])
    assert [scores[0], *scores[2:]] == [0.1, 0.2, 0.1]
    assert scores[1] not in (0.1, 0.2)
    assert (len(one.calls), len(other.calls)) == (2, 1)
    one.close()
    other.close()


def test_what_goes_wrong_in_the_servers_thread_is_seen_here(server: LiveServer) -> None:
    with pytest.raises(ZeroDivisionError):
        server.at_once(lambda: 1 // 0)


def test_an_assertion_waits_for_what_is_under_way(server: LiveServer) -> None:
    mock = LiveMock(server, overrides={})
    mock.fault(delay_ms=600)
    body = {"criterion_id": "helpful", "output": {"role": "assistant"}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{mock.base_url}/criteria/judge", json=body, headers={"authorization": "Bearer k"}, timeout=0.3
        )
    mock.judged("helpful", times=1)
    mock.close()


def test_a_server_that_ends_leaves_the_log_of_others_as_it_was() -> None:
    log = logging.getLogger("uvicorn")
    level = log.level
    with serving():
        pass
    assert log.level == level


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveServer()
    monkeypatch.setattr(live.server, "run", lambda sockets: None)
    with pytest.raises(MockError, match="did not start"):
        live.start()
