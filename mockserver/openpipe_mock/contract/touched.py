"""Which checks and strategies a change of the contract touches."""

from collections.abc import Iterator

from openpipe_mock.openapi.drift import ContractChange

_ENDPOINTS = {"POST /criteria/judge": "judge", "POST /chat/completions": "chat"}
_STRATEGIES = {
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choices",
    "response_format": "response_formats",
    "output": "outputs",
}
"""Member of a request → the strategy that makes it."""
_HEADERS = {
    "header op-criteria": (("criteria.*",), ("criteria_headers",)),
    "header op-tags": (("chat.headers.*",), ("tags_headers",)),
}


def checks_touched(change: ContractChange) -> tuple[str, ...]:
    """Patterns of the ids of checks that look at what has changed, as `--only` takes them."""
    return tuple(dict.fromkeys(_checks(change)))


def strategies_touched(change: ContractChange) -> tuple[str, ...]:
    """The names of strategies that make what has changed."""
    return tuple(dict.fromkeys(_strategies(change)))


def _checks(change: ContractChange) -> Iterator[str]:
    endpoint = _ENDPOINTS.get(change.operation, "")
    if not endpoint or change.part == "documentation":
        return
    part, _, rest = change.part.partition(", ")
    if part in _HEADERS:
        yield from _HEADERS[part][0]
    elif part.startswith("header "):
        yield f"{endpoint}.headers.*"
    elif part == "security":
        yield from (f"{endpoint}.errors.missing_key", f"{endpoint}.errors.wrong_key")
    elif part == "request":
        yield from (f"{endpoint}.rejects.*", f"{endpoint}.accepts.*", f"{endpoint}.fuzz.*")
    elif part == "answer 200" and "event-stream" in rest:
        yield "chat.stream.*"
    elif part == "answer 200":
        yield f"{endpoint}.response.*"
        if "criteria_results" in change.pointer:
            yield "criteria.*"
    elif part.startswith("answer "):
        yield from (f"{endpoint}.error.*", f"{endpoint}.errors.*")
    else:
        yield f"{endpoint}.*"


def _strategies(change: ContractChange) -> Iterator[str]:
    endpoint = _ENDPOINTS.get(change.operation, "")
    if not endpoint or change.part == "documentation":
        return
    if change.part in _HEADERS:
        yield from _HEADERS[change.part][1]
    elif change.part == "request" or not change.part:
        yield from (f"{endpoint}_requests", f"broken_{endpoint}_requests")
        yield from (name for member, name in _STRATEGIES.items() if member in change.pointer.split("/"))
