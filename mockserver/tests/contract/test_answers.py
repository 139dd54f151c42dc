"""What the suite makes of one answer: broken requests prove nothing about answers, a crash is told once."""

import json
from dataclasses import replace
from typing import Any

import pytest

from contract_tests.builders import CHAT, JUDGE, chatting, judging, post
from contract_tests.invariants import broken, examined
from contract_tests.settings import RunSettings
from contract_tests.validity import is_valid
from openpipe_mock.contract.probe import Exchange, Request

Json = Any
SETTINGS = RunSettings()
TYPED = (("content-type", "application/json"),)
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": 7,
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "1, 2, 3"}}
    ],
}


def answered(request: Request, status: int, value: Json) -> Exchange:
    return Exchange(request, status, TYPED, json.dumps(value).encode())


def told(exchange: Exchange) -> list[str]:
    return [finding.check for finding in broken(exchange)]


def with_header(name: str, text: str) -> Request:
    request = chatting(SETTINGS)
    return replace(request, headers=(*request.headers, (name, text)))


@pytest.mark.parametrize(
    ("request_", "valid"),
    [
        (judging(SETTINGS), True),
        (judging(SETTINGS, output={"role": "assistant", "annotations": None}), True),
        (judging(SETTINGS, output={"role": "assistant", "annotations": []}), False),
        (judging(SETTINGS, input=7), False),
        (replace(judging(SETTINGS), method="PUT"), False),
        (replace(judging(SETTINGS), credential="none"), False),
        (replace(judging(SETTINGS), headers=(("content-type", "text/plain"),)), False),
        (post(JUDGE, b"{"), False),
        (chatting(SETTINGS, x_unknown=1, temperature=None), True),
        (chatting(SETTINGS, model=7), False),
        (chatting(SETTINGS, criteria=["criterion-1"]), True),
        (with_header("op-criteria", "criterion-1"), False),
        (with_header("op-criteria", "[1]"), False),
        (with_header("op-tags", '{"a": 1}'), True),
        (with_header("op-cache", "sometimes"), False),
        (post(CHAT, b""), False),
    ],
)
def test_a_request_is_valid_if_all_of_it_keeps_the_contract(request_: Request, valid: bool) -> None:
    assert is_valid(request_) is valid


def test_what_answers_a_broken_request_is_no_evidence_about_answers() -> None:
    assert told(answered(chatting(SETTINGS), 200, COMPLETION)) == ["chat.response.schema"]
    echoed = answered(chatting(SETTINGS, model=7), 200, COMPLETION)
    assert told(echoed) == []
    assert set(examined(echoed)) == {"chat.answers", "chat.no_5xx"}
    moved = replace(answered(replace(judging(SETTINGS), method="GET"), 302, {}), headers=())
    assert told(moved) == []


def test_the_errors_of_a_broken_request_are_looked_at() -> None:
    refused = answered(judging(SETTINGS, input=7), 400, {"detail": "no"})
    assert set(told(refused)) == {"judge.error.body", "judge.error.closed"}
    assert "judge.error.body" in set(examined(refused))


@pytest.mark.parametrize(
    ("exchange", "check", "level"),
    [
        (Exchange(judging(SETTINGS), 500), "judge.no_5xx", "documented"),
        (Exchange(judging(SETTINGS, input=7), 500), "judge.no_5xx", ""),
        (Exchange(replace(judging(SETTINGS), method="GET"), 501), "judge.no_5xx", "source"),
        (Exchange(chatting(SETTINGS), 502), "chat.no_5xx", ""),
        (Exchange(chatting(SETTINGS), 500, failure="it broke off within the answer"), "chat.answers", ""),
        (Exchange(chatting(SETTINGS), failure="no answer in time"), "chat.answers", ""),
    ],
)
def test_a_crash_is_one_finding(exchange: Exchange, check: str, level: str) -> None:
    assert [(finding.check, finding.level) for finding in broken(exchange)] == [(check, level)]


def test_who_is_busy_has_not_crashed() -> None:
    busy = Exchange(judging(SETTINGS), 503, (("retry-after", "1"),))
    assert told(busy) == []
    assert told(Exchange(judging(SETTINGS), 429)) == []
