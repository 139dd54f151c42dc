"""Finds out whether an endpoint answers 200 at all: without that a run proves nothing."""

from openpipe_mock.contract.probe import Exchange, Request

from .builders import COUNTING, chatting, judging, user_messages
from .invariants import message_suffix
from .run import Reach, Run, Unjudged
from .settings import RunSettings

_MOST_TRIED = 3
_HOPELESS = (401, 403, 429)
"""Statuses for which no further request is tried: another id would not change them."""


def candidates(endpoint: str, settings: RunSettings) -> list[Request]:
    """The requests to try: the smallest one for each id that the server may know, and a fuller one."""
    if endpoint == "judge":
        every = [judging(settings, criterion) for criterion in settings.criteria[:_MOST_TRIED]]
        return [*every, judging(settings, input={"messages": user_messages(COUNTING)})]
    every = [chatting(settings, model=model) for model in settings.models[:_MOST_TRIED]]
    return [
        *every,
        chatting(settings, messages=[{"role": "system", "content": "Be brief."}, *user_messages(COUNTING)]),
    ]


def reach(endpoint: str, run: Run) -> Reach:
    """Send the candidates until one gets a 200 with a JSON body."""
    exchanges: list[Exchange] = []
    first = None
    for request in candidates(endpoint, run.settings):
        try:
            exchange = run.seen.get(request) or run.exchange(request)
        except Unjudged as problem:
            return Reach(False, _as_sentence(str(problem)), exchanges)
        exchanges.append(exchange)
        if exchange.ok and not exchange.parsed[1]:
            return Reach(True, "", exchanges)
        first = first or exchange
        if not exchange.status or exchange.status in _HOPELESS:
            break
    assert first is not None
    return Reach(False, _reason(endpoint, run, first), exchanges)


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _reason(endpoint: str, run: Run, exchange: Exchange) -> str:
    """Why there was no 200, and what to do."""
    url, path = run.probe.target.url, exchange.request.path
    place = f"POST {url}{path}"
    if exchange.failure:
        return f"{place}: {exchange.failure}. {_silence_advice(exchange)}"
    if exchange.status == 404 and _is_about_path(exchange):
        return f"{place} was answered by 404{message_suffix(exchange)} {_base_advice(url)}"
    advice = _ADVICE.get(exchange.status) or _ADVICE[exchange.status // 100]
    words = advice[endpoint] if isinstance(advice, dict) else advice
    return f"{place} was answered by {exchange.status}{message_suffix(exchange)} {words}"


def _is_about_path(exchange: Exchange) -> bool:
    """Whether a 404 is about the path rather than about an id: its text names no criterion and no model."""
    text = exchange.body[:2000].decode("utf-8", "replace").lower()
    return not any(word in text for word in ("criterion", "model"))


def _base_advice(url: str) -> str:
    if url.endswith("/api/v1"):
        return "Does this server have the endpoint? Give the base URL that its clients use."
    return f"Is /api/v1 missing? Try {url}/api/v1"


def _silence_advice(exchange: Exchange) -> str:
    if "no connection" in exchange.failure:
        return "Is the server running, and is that its address?"
    return "Give it more time with --timeout, or look at its log."


_KEY = "Pass a key that it knows with --api-key, or set OPENPIPE_API_KEY and pass --send-key."
_IDS = {
    "judge": "Name a criterion that it knows with --criterion.",
    "chat": "Name a model that it knows with --model.",
}
_ADVICE: dict[int, str | dict[str, str]] = {
    401: _KEY,
    403: _KEY,
    429: "It is busy; try again later, or slower with --rate.",
    2: "A 200 whose body is JSON was expected; is this the right URL?",
    3: "Give the URL that it redirects to; redirects are not followed, so that no key goes astray.",
    4: _IDS,
    5: "The server fails at the smallest request; look at its log.",
}
