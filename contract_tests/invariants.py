"""What every answer has to keep, whichever check asked for it."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.core.errors import Violation
from openpipe_mock.core.wording import shown
from openpipe_mock.openapi.spec import Checker, contract

from . import streams

Findings = Iterator[Finding]

MOST_NAMED = 3


@cache
def checker(name: str) -> Checker:
    return contract().checker(name)


def examined(exchange: Exchange) -> Iterator[str]:
    """The ids of the checks that an exchange was held against."""
    area = exchange.request.endpoint
    if not area:
        return
    yield f"{area}.answers"
    if not exchange.status or exchange.busy:
        return
    yield from (f"{area}.no_5xx", f"{area}.response.status")
    if streamed(exchange):
        yield from streams.EXAMINED
    elif exchange.ok:
        yield from (f"{area}.response.{name}" for name in ("content_type", "json", "schema", "score"))
        yield from ("chat.response.nulls", "chat.usage.sum") if area == "chat" else ()
    elif exchange.refused:
        own = ("closed",) if area == "judge" else ("detail",)
        yield from (f"{area}.error.{name}" for name in ("body", "content_type", "issues_closed", *own))


def broken(exchange: Exchange) -> Findings:
    """All that is wrong with an answer on its own."""
    area = exchange.request.endpoint
    if not area:
        return
    if exchange.failure:
        yield Finding(f"{area}.answers", f"{exchange.failure}.")
    if not exchange.status or exchange.busy:
        return
    if exchange.status >= 500:
        yield Finding(f"{area}.no_5xx", f"answered {exchange.status}{told(exchange)}")
    elif exchange.status < 400:
        yield from success(area, exchange)
    elif exchange.refused:
        yield from refusal(area, exchange)


def streamed(exchange: Exchange) -> bool:
    """Whether this is the success of a request for a stream."""
    body = exchange.request.value()
    return exchange.status == 200 and isinstance(body, dict) and body.get("stream") is True


def success(area: str, exchange: Exchange) -> Findings:
    if exchange.status != 200:
        target = exchange.header("location")
        where = f" to {target}" if target else ""
        yield Finding(f"{area}.response.status", f"expected 200, got {exchange.status}{where}.")
    elif exchange.failure:
        return
    elif streamed(exchange):
        yield from streams.broken(exchange)
    else:
        yield from plain(area, exchange)


def plain(area: str, exchange: Exchange) -> Findings:
    """A whole answer in one JSON body."""
    if exchange.media != "application/json":
        yield Finding(f"{area}.response.content_type", f"expected application/json, got {typed(exchange)}.")
    value, problem = exchange.parsed
    if problem:
        yield Finding(f"{area}.response.json", f"the body is no JSON: {problem}")
    elif area == "judge":
        yield from judgement(value)
    elif value is not None:
        yield from completion(value)


def judgement(value: Any) -> Findings:
    for violation in first(checker("JudgeCriteriaResponse"), value):
        yield Finding("judge.response.schema", worded(violation), violation.pointer)
    if isinstance(value, dict):
        yield from bounded("judge.response.score", value.get("score"), "/score")


def bounded(check: str, score: Any, pointer: str) -> Findings:
    if isinstance(score, int | float) and not isinstance(score, bool) and not 0 <= score <= 1:
        yield Finding(check, f"the score {score!r} is outside 0 to 1.", pointer)


def completion(value: Any) -> Findings:
    own = checker("ChatCompletion")
    tidied = own.tidy(value)
    for violation in first(own, tidied):
        level = "decision" if violation.pointer.endswith("/bytes") else ""
        yield Finding("chat.response.schema", worded(violation), violation.pointer, level=level)
    if own.is_valid(tidied):
        for violation in first(own, value):
            yield Finding("chat.response.nulls", worded(violation), violation.pointer)
    for pointer, result in results(value):
        if result.get("status") == "success":
            yield from bounded("chat.response.score", result.get("score"), f"{pointer}/score")
    yield from summed(value)


def results(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each criterion's result in a completion, by its pointer."""
    choices = value.get("choices") if isinstance(value, dict) else None
    for number, choice in enumerate(choices if isinstance(choices, list) else ()):
        found = choice.get("criteria_results") if isinstance(choice, dict) else None
        for name, result in found.items() if isinstance(found, dict) else ():
            if isinstance(result, dict):
                yield (
                    f"/choices/{number}/criteria_results/{name.replace('~', '~0').replace('/', '~1')}",
                    result,
                )


def summed(value: Any) -> Findings:
    usage = value.get("usage") if isinstance(value, dict) else None
    counts = (
        [usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total")]
        if isinstance(usage, dict)
        else []
    )
    numbers = [count for count in counts if isinstance(count, int | float)]
    if len(numbers) == 3 and numbers[0] + numbers[1] != numbers[2]:
        told = f"{numbers[0]} + {numbers[1]} is not {numbers[2]}."
        yield Finding("chat.usage.sum", told, "/usage/total_tokens")


def first(checker: Checker, value: Any) -> Iterator[Violation]:
    """The first violations; a server that breaks one rule often breaks it many times."""
    if not checker.is_valid(value):
        for number, violation in enumerate(checker.violations(value)):
            if number == MOST_NAMED:
                break
            yield violation


def worded(violation: Violation) -> str:
    """The sentence, about an answer."""
    return violation.sentence.replace("the request body", "the answer")


def refusal(area: str, exchange: Exchange) -> Findings:
    """An error answer. What stands in front of the API may answer 413, and anything for another method."""
    outside = exchange.request.method != "POST" or exchange.status == 413
    level = "source" if outside else ""
    if exchange.media != "application/json":
        said = f"expected application/json, got {typed(exchange)}."
        yield Finding(f"{area}.error.content_type", said, level=level)
    value, problem = exchange.parsed
    if problem:
        yield Finding(
            f"{area}.error.body", f"the body of the {exchange.status} is no JSON: {problem}", level=level
        )
    else:
        yield from error_body(area, value, level)


def error_body(area: str, value: Any, level: str) -> Findings:
    if area == "chat" and isinstance(value, dict) and "error" not in value:
        yield Finding("chat.error.detail", '"error" is missing.', "/error")
    for violation in first(checker("Error" if area == "judge" else "ChatError"), value):
        check = error_check(area, violation)
        weaker = level if check.endswith((".body", ".closed")) else ""
        yield Finding(check, worded(violation), violation.pointer, level=weaker)


def error_check(area: str, violation: Violation) -> str:
    if area == "chat" and violation.pointer.startswith("/error"):
        return "chat.error.detail"
    if violation.rule != "additionalProperties":
        return f"{area}.error.body"
    return (
        f"{area}.error.issues_closed" if violation.pointer.startswith("/issues") else f"{area}.error.closed"
    )


def typed(exchange: Exchange) -> str:
    return exchange.header("content-type") or "no content type"


def told(exchange: Exchange) -> str:
    """What an answer says of itself, in short."""
    value = exchange.value
    message = value.get("message") if isinstance(value, dict) else None
    if isinstance(value, dict) and not isinstance(message, str):
        message = value.get("detail") or value.get("error")
    text = message if isinstance(message, str) else exchange.body[:200].decode("utf-8", "replace").strip()
    return f": {shown(text).removeprefix('the string ')}" if text else "."
