"""Finds out whether an endpoint answers 200 at all: without that a run proves nothing."""

from openpipe_mock.contract.probe import NO_ANSWER, NO_HTTP, NO_TLS, Exchange, Request

from .builders import COUNTING, chatting, judging, user_messages
from .invariants import message_suffix
from .promises import Case, reachable
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
    for request in candidates(endpoint, run.settings):
        try:
            exchange = run.seen.get(request) or run.exchange(request)
        except Unjudged as problem:
            return Reach(False, str(problem), exchanges)
        exchanges.append(exchange)
        if exchange.ok and not exchange.parsed[1]:
            return Reach(True, "", exchanges)
        if not exchange.status or exchange.status in _HOPELESS or _is_foreign(exchange):
            break
    return Reach(False, "", exchanges)


def telling(reach: Reach) -> list[Exchange]:
    """The answers that say something about the API: none of a web server, of a proxy or at another path."""
    return reach.exchanges if reach.known else [each for each in reach.exchanges if not _is_foreign(each)]


def will_send(run: Run, case: Case) -> bool | None:
    """Whether a case will send its planned requests; None where its endpoint wasn't tried yet."""
    if run.dead:
        return False
    if case.family.startswith("reachability."):
        return None
    if not case.needs:
        return any(each.known for each in run.reached.values())
    found = run.reached.get(case.needs)
    return None if found is None else found.known


def _is_foreign(exchange: Exchange) -> bool:
    """Whether an answer isn't this API's: a page, a redirect, or an error about the path."""
    return _is_page(exchange) or 300 <= exchange.status < 400 or _is_about_path(exchange)


def _is_page(exchange: Exchange) -> bool:
    return exchange.media in ("text/html", "application/xhtml+xml") or exchange.body.lstrip()[:1] == b"<"


def _is_about_path(exchange: Exchange) -> bool:
    """Whether an error is about the path rather than about an id: it names no criterion and no model."""
    text = exchange.body[:2000].decode("utf-8", "replace").lower()
    return exchange.status in (404, 405, 501) and not any(word in text for word in ("criterion", "model"))


def why_unreached(endpoint: str, run: Run) -> str:
    """Why there was no 200, and what to do; "" where there was one."""
    found = reachable(endpoint, run)
    if found.known:
        return ""
    if not found.exchanges:
        return f"{found.stopped[:1].upper()}{found.stopped[1:]}."
    exchange, url = found.exchanges[0], run.probe.target.url
    place = f"POST {url}{exchange.request.path}"
    if exchange.failure:
        return f"{place}: {exchange.failure}. {_silence_advice(exchange, url)}"
    if _is_about_path(exchange):
        told = f"The {endpoint} isn't served: {exchange.status}."
        return f"{told} {_base_advice(endpoint, run)} The request was {place}."
    if _is_page(exchange):
        return f"A page of a web server or proxy came: {exchange.status}. {_PAGE} The request was {place}."
    advice = _ADVICE.get(exchange.status) or _ADVICE[exchange.status // 100]
    words = advice[endpoint] if isinstance(advice, dict) else advice
    told = f"{place} was answered by {exchange.status}{message_suffix(exchange)}"
    return f"{told.removesuffix('.')}. {words}"


def _base_advice(endpoint: str, run: Run) -> str:
    """What to do where an endpoint isn't served. No other base URL is named where this one is right."""
    url, other = run.probe.target.url, "chat" if endpoint == "judge" else "judge"
    if _is_served(other, run):
        return f"The {other} is there; --endpoint {other} leaves the {endpoint} out."
    for path in ("/criteria/judge", "/chat/completions"):
        if url.endswith(path):
            return f"Try {url.removesuffix(path)} instead."
    if url.endswith("/v1"):
        return "Does this server have the endpoint? Give the base URL that its clients use."
    return f"Is /api/v1 missing? Try {url}/api/v1 instead."


def _is_served(endpoint: str, run: Run) -> bool:
    """Whether an endpoint answers. It is tried now, if that is planned and wasn't done yet."""
    if endpoint not in run.reached and not run.unsent.intersection(candidates(endpoint, run.settings)):
        return False
    found = reachable(endpoint, run)
    return any(exchange.status for exchange in telling(found))


def _silence_advice(exchange: Exchange, url: str) -> str:
    if exchange.failure == NO_TLS:
        return f"Try http{url.removeprefix('https')} instead."
    if "no connection" in exchange.failure:
        return "Is the server running, and is that its address?"
    if exchange.failure in (NO_HTTP, NO_ANSWER) and url.startswith("http://"):
        return "Does it speak https://? Else look at its log."
    return "Give it more time with --timeout, or look at its log."


_PAGE = "Is this the right URL, and is the server behind it running?"
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
