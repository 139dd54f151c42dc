"""Checks that hold for every answer, whichever check sent the request."""

from collections.abc import Iterator, Sequence
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.core.errors import Violation
from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.core.wording import shown
from openpipe_mock.openapi.spec import contract

from . import streams
from .jsontext import repeated_key
from .schemas import first_violations
from .validity import is_valid

Findings = Iterator[Finding]


def examined(exchange: Exchange) -> Iterator[str]:
    """The ids of the checks that `broken` applies to an exchange."""
    area = exchange.request.endpoint
    if not area:
        return
    yield f"{area}.answers"
    if not exchange.status or exchange.busy or (exchange.failure and crashed(exchange)):
        return
    yield f"{area}.no_5xx"
    if exchange.refused or is_valid(exchange.request):
        yield f"{area}.json.keys"
    if exchange.refused:
        own = ("closed",) if area == "judge" else ("detail",)
        yield from (f"{area}.error.{name}" for name in ("body", "content_type", "issues_closed", *own))
    elif is_valid(exchange.request):
        yield from _examined_of_success(area, exchange)


def _examined_of_success(area: str, exchange: Exchange) -> Iterator[str]:
    yield f"{area}.response.status"
    if _streamed(exchange):
        yield from streams.EXAMINED
    elif exchange.ok:
        yield from (f"{area}.response.{name}" for name in ("content_type", "json", "schema", "score"))
        yield from ("chat.response.nulls", "chat.usage.sum") if area == "chat" else ()


def broken(exchange: Exchange) -> Findings:
    """Every violation that one answer shows on its own. Successes count only as answers to valid requests."""
    area = exchange.request.endpoint
    if not area:
        return
    if exchange.failure:
        yield Finding(f"{area}.answers", f"{exchange.failure}.", level=_crash_level(exchange))
    elif exchange.hangups > 1:
        sentence = f"it hung up on kept connections without an answer, {exchange.hangups} times so far."
        yield Finding(f"{area}.answers", sentence)
    if not exchange.status or exchange.busy or (exchange.failure and crashed(exchange)):
        return
    elif crashed(exchange):
        sentence = f"answered {exchange.status}{message_suffix(exchange)}"
        yield Finding(f"{area}.no_5xx", sentence, level=_crash_level(exchange))
    elif exchange.refused:
        yield from _refusal(area, exchange)
        yield from _keys(area, exchange)
    elif is_valid(exchange.request):
        yield from _success(area, exchange)
        yield from _keys(area, exchange)


def _keys(area: str, exchange: Exchange) -> Findings:
    """A key that an object of the answer has twice: the first that is found."""
    streamed = _streamed(exchange)
    texts: Sequence[str | bytes] = streams.texts(exchange) if streamed else [exchange.body]
    for number, text in enumerate(texts):
        name = repeated_key(text)
        if name is not None:
            pointer = f"/events/{number}" if streamed else ""
            yield Finding(f"{area}.json.keys", f"an object has the key {name!r} twice.", pointer)
            return


def crashed(exchange: Exchange) -> bool:
    """Whether the server failed. That is told once, by `no_5xx`, whichever checks look at the exchange."""
    return exchange.status >= 500 and not exchange.busy and bool(exchange.request.endpoint)


def _crash_level(exchange: Exchange) -> str:
    """The level of a failure; "" for the check's own.

    The page promises a judgement to a valid request. No client sends another method than POST.
    """
    if exchange.request.method != "POST":
        return "source"
    return "documented" if exchange.request.endpoint == "judge" and is_valid(exchange.request) else ""


def message_suffix(exchange: Exchange) -> str:
    """The answer's own message, shortened, to be put behind its status: `: message`, or `.` without one."""
    value = exchange.value
    message = value.get("message") if isinstance(value, dict) else None
    if isinstance(value, dict) and not isinstance(message, str):
        message = value.get("detail") or value.get("error")
    text = message if isinstance(message, str) else exchange.body[:200].decode("utf-8", "replace").strip()
    return f": {shown(text).removeprefix('the string ')}" if text else "."


def _streamed(exchange: Exchange) -> bool:
    """Whether this is a successful answer to a request for a stream."""
    body = exchange.request.value()
    return exchange.status == 200 and isinstance(body, dict) and body.get("stream") is True


def _success(area: str, exchange: Exchange) -> Findings:
    if exchange.status != 200:
        target = exchange.header("location")
        where = f" to {target}" if target else ""
        yield Finding(f"{area}.response.status", f"expected 200, got {exchange.status}{where}.")
    elif _streamed(exchange):
        yield from streams.broken(exchange)
    else:
        yield from _plain(area, exchange)


def _plain(area: str, exchange: Exchange) -> Findings:
    """Findings about a success that is not streamed."""
    if exchange.media != "application/json":
        yield Finding(f"{area}.response.content_type", f"expected application/json, got {_typed(exchange)}.")
    value, problem = exchange.parsed
    if problem:
        yield Finding(f"{area}.response.json", f"the body is no JSON: {problem}")
    elif area == "judge":
        yield from _judgement(value)
    elif value is not None:
        yield from _completion(value)


def _judgement(value: Any) -> Findings:
    for violation in first_violations("JudgeCriteriaResponse", value):
        yield Finding("judge.response.schema", violation.sentence, violation.pointer)
    if isinstance(value, dict):
        yield from _bounded("judge.response.score", value.get("score"), "/score")


def _bounded(check: str, score: Any, pointer: str) -> Findings:
    if isinstance(score, int | float) and not isinstance(score, bool) and not 0 <= score <= 1:
        yield Finding(check, f"the score {score!r} is outside 0 to 1.", pointer)


def _completion(value: Any) -> Findings:
    own = contract().checker("ChatCompletion")
    tidied = own.tidy(value)
    for violation in first_violations(own.name, tidied):
        level = "decision" if violation.pointer.endswith("/bytes") else ""
        yield Finding("chat.response.schema", violation.sentence, violation.pointer, level=level)
    if own.is_valid(tidied):
        for violation in first_violations(own.name, value):
            yield Finding("chat.response.nulls", violation.sentence, violation.pointer)
    for place, result in _results(value):
        if result.get("status") == "success":
            yield from _bounded("chat.response.score", result.get("score"), f"{place}/score")
    yield from _summed(value)


def _results(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each criterion's result in a completion, by its pointer."""
    choices = value.get("choices") if isinstance(value, dict) else None
    for number, choice in enumerate(choices if isinstance(choices, list) else ()):
        found = choice.get("criteria_results") if isinstance(choice, dict) else None
        for name, result in found.items() if isinstance(found, dict) else ():
            if isinstance(result, dict):
                yield pointer_to("choices", number, "criteria_results", name), result


def _summed(value: Any) -> Findings:
    usage = value.get("usage") if isinstance(value, dict) else None
    counts = (
        [usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total")]
        if isinstance(usage, dict)
        else []
    )
    numbers = [count for count in counts if isinstance(count, int | float)]
    if len(numbers) == 3 and numbers[0] + numbers[1] != numbers[2]:
        sentence = f"{numbers[0]} + {numbers[1]} is not {numbers[2]}."
        yield Finding("chat.usage.sum", sentence, "/usage/total_tokens")


def _refusal(area: str, exchange: Exchange) -> Findings:
    """Findings about a 4xx."""
    # A proxy in front of the API may answer 413, or any other method than POST, in a form of its own.
    outside = exchange.request.method != "POST" or exchange.status == 413
    level = "source" if outside else ""
    if exchange.media != "application/json":
        sentence = f"expected application/json, got {_typed(exchange)}."
        yield Finding(f"{area}.error.content_type", sentence, level=level)
    value, problem = exchange.parsed
    if problem:
        yield Finding(
            f"{area}.error.body", f"the body of the {exchange.status} is no JSON: {problem}", level=level
        )
    else:
        yield from _error_body(area, value, level)


def _error_body(area: str, value: Any, level: str) -> Findings:
    if area == "chat" and isinstance(value, dict) and "error" not in value:
        yield Finding("chat.error.detail", '"error" is missing.', "/error")
    for violation in first_violations("Error" if area == "judge" else "ChatError", value):
        check = _error_check(area, violation)
        weaker = level if check.endswith((".body", ".closed")) else ""
        yield Finding(check, violation.sentence, violation.pointer, level=weaker)


def _error_check(area: str, violation: Violation) -> str:
    if area == "chat" and violation.pointer.startswith("/error"):
        return "chat.error.detail"
    if violation.rule != "additionalProperties":
        return f"{area}.error.body"
    return (
        f"{area}.error.issues_closed" if violation.pointer.startswith("/issues") else f"{area}.error.closed"
    )


def _typed(exchange: Exchange) -> str:
    return exchange.header("content-type") or "no content type"
