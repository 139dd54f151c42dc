"""`GET /_mock/metrics`, as Prometheus' own parser reads it, and `GET /_mock/ready`."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.server.readiness import Readiness
from openpipe_mock.service import metrics
from openpipe_mock.service.fast_lane import FastLane
from tests.controlling import CHAT, Mock
from tests.inprocess import HEADERS, JUDGE, having

Json = Any
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(mock: Mock) -> Samples:
    """Name and labels of each sample → its value."""
    text = mock.ask("GET", "/metrics").body.decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type in ("counter", "gauge", "histogram")
        assert family.documentation
        for sample in family.samples:
            key = sample.name.removeprefix("openpipe_mock_"), tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def test_requests_count_by_endpoint_and_status() -> None:
    mock = Mock()
    for _ in "123":
        mock.judge()
    mock.judge("")
    mock.chat("x")
    mock.chat("x", stream=True)
    mock.send("/nowhere", {})
    samples = scraped(mock)
    assert value(samples, "requests_total", endpoint="judge", status="200") == 3
    assert value(samples, "requests_total", endpoint="judge", status="404") == 1
    assert value(samples, "requests_total", endpoint="chat", status="200") == 2
    assert value(samples, "requests_total", endpoint="others", status="404") == 1
    assert value(samples, "request_seconds_count", endpoint="judge") == 4
    assert value(samples, "violations_total", endpoint="judge") == 0


def test_the_fast_lane_counts_as_the_service_does() -> None:
    one, other = Mock(), Mock()
    lane = FastLane(one.service)
    body = b'{"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}'
    chat = b'{"model": "openpipe:m", "n": 2, "messages": [{"role": "user", "content": "x"}]}'
    for path, sent in ((JUDGE, body), (CHAT, chat), (CHAT, chat)):
        headers = {**HEADERS, b"op-criteria": b'["brief"]'}
        lane.answer(Head("POST", path, headers), sent, lambda: 0.0)
        other.send(path, sent, headers=headers)
    assert scraped(one) == scraped(other)
    assert value(scraped(one), "score_count", criterion="brief") == 4


def test_scores_lie_in_buckets_by_criterion() -> None:
    mock = Mock(configfile.settings({"criteria": {"a": {"score": 0.3}, "b": {"score": 1}}}))
    for criterion in ("a", "a", "b"):
        mock.judge(criterion)
    samples = scraped(mock)
    below = [value(samples, "score_bucket", criterion="a", le=end) for end in ("0.2", "0.3", "1.0", "+Inf")]
    assert below == [0, 2, 2, 2]
    assert value(samples, "score_sum", criterion="a") == 0.6
    assert value(samples, "score_bucket", criterion="b", le="0.9") == 0
    assert value(samples, "score_bucket", criterion="b", le="1.0") == 1


def test_durations_lie_in_buckets() -> None:
    counted = metrics.Metrics()
    for seconds in (0.0005, 0.0006, 0.2, 99.0):
        counted.answered("chat", 429, seconds)
    mock = Mock()
    mock.service.metrics = counted
    samples = scraped(mock)
    ends = ("0.0005", "0.001", "0.1", "0.25", "30.0", "+Inf")
    assert [value(samples, "request_seconds_bucket", endpoint="chat", le=end) for end in ends] == [
        1,
        2,
        2,
        3,
        3,
        4,
    ]
    assert value(samples, "requests_total", endpoint="chat", status="429") == 4


def test_faults_violations_and_misses_count() -> None:
    script = {"when": {"last_user": "never"}, "text": "x"}
    fault = {"when": {"endpoint": "judge"}, "delay_ms": 5, "status": 503}
    mock = Mock(configfile.settings({"completions": [script], "faults": [fault]}))
    mock.judge()
    mock.chat("x", temperature="warm")
    mock.chat("x")
    samples = scraped(mock)
    assert (
        value(samples, "faults_total", kind="status") == value(samples, "faults_total", kind="delay_ms") == 1
    )
    assert value(samples, "violations_total", endpoint="chat") == 1
    assert value(samples, "misses_total", kind="script") == 1
    assert value(samples, "misses_total", kind="recording") == 0


def test_a_client_that_hung_up_counts_apart() -> None:
    mock = Mock()
    exchange = mock.service.exchange(Head("POST", JUDGE, HEADERS))
    next(exchange)
    exchange.close()
    samples = scraped(mock)
    assert value(samples, "hangups_total", endpoint="judge") == 1
    assert value(samples, "requests_total", endpoint="judge", status="200") == 0


def test_clients_cannot_make_it_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_COUNTED_CRITERIA", 3)
    mock = Mock()
    for number in range(10):
        mock.judge(f"c{number}")
        mock.send(f"/nowhere/{number}", {})
        mock.chat("x", model=f"m{number}")
    samples = scraped(mock)
    criteria = {labels for name, labels in samples if name == "score_count"}
    assert criteria == {(("criterion", name),) for name in ("c0", "c1", "c2", "others")}
    assert value(samples, "score_count", criterion="others") == 7
    assert len(mock.service.metrics.scores) == 3
    assert len([name for name, _ in samples if name == "requests_total"]) == 3


def test_a_criterion_named_like_the_key_is_not_shown() -> None:
    mock = Mock()
    mock.judge("private-1", headers={**HEADERS, b"authorization": b"Bearer private-1"})
    text = mock.ask("GET", "/metrics").body
    assert b"private-1" not in text
    assert value(scraped(mock), "score_count", criterion="***") == 1


def test_any_criterion_is_written_so_that_it_is_read_back() -> None:
    mock = Mock()
    names = ['quote " back \\ line', "naïve\n"]
    for name in names:
        mock.service.metrics.scored([{name: 0.5}], b"")
    criteria = {dict(labels)["criterion"] for name, labels in scraped(mock) if name == "score_count"}
    assert criteria == set(names)


def test_the_bytes_that_are_kept_are_those_of_journals_and_logs() -> None:
    mock = Mock()
    assert value(scraped(mock), "kept_bytes") == 0
    mock.judge()
    before = value(scraped(mock), "kept_bytes")
    assert before == mock.service.sessions.default.journal.bytes > 0
    mock.send(CHAT, {"model": "m", "store": True, "messages": [{"role": "user", "content": "x"}]})
    assert value(scraped(mock), "kept_bytes") > mock.service.sessions.default.journal.bytes
    mock.ask("POST", "/reset")
    assert value(scraped(mock), "kept_bytes") == 0
    assert value(scraped(mock), "requests_total", endpoint="judge", status="200") == 1


def test_a_server_is_ready_once_all_its_processes_serve_and_until_its_own_ends() -> None:
    readiness = Readiness()
    seen = [readiness()]

    async def serve() -> None:
        job = asyncio.create_task(readiness.watch())
        await asyncio.sleep(0)
        seen.append(readiness())
        readiness.start()
        seen.append(readiness())
        job.cancel()
        await asyncio.wait([job])
        seen.append(readiness())

    asyncio.run(serve())
    assert seen == [False, False, True, False]


def test_it_is_ready_unless_the_server_starts_or_ends() -> None:
    mock = Mock(Settings())
    assert mock.json("GET", "/ready") == {"status": "ready"}
    mock.service.is_ready = lambda: False
    assert "starting or ending" in mock.message("GET", "/ready", status=503)
    assert mock.json("GET", "/health")["status"] == "ok"
    assert mock.judge(text=str(having())).status == 200
