"""Whether an endpoint can be judged at all: without one 200 a run proves nothing."""

from openpipe_mock.contract.probe import Exchange, Request

from .builders import COUNTING, chatting, judging, said
from .invariants import told
from .run import Reach, Run, Unjudged
from .settings import Aim

MOST_TRIED = 3
HOPELESS = (401, 403, 429)
"""Statuses that another id would not change."""


def candidates(endpoint: str, aim: Aim) -> list[Request]:
    """The smallest request for each id that the server may know, and a fuller one."""
    if endpoint == "judge":
        every = [judging(aim, criterion) for criterion in aim.criteria[:MOST_TRIED]]
        return [*every, judging(aim, input={"messages": said(COUNTING)})]
    every = [chatting(aim, model=model) for model in aim.models[:MOST_TRIED]]
    return [*every, chatting(aim, messages=[{"role": "system", "content": "Be brief."}, *said(COUNTING)])]


def reach(endpoint: str, run: Run) -> Reach:
    """Ask for one 200 whose body is JSON."""
    exchanges: list[Exchange] = []
    first = None
    for request in candidates(endpoint, run.aim):
        try:
            exchange = run.seen.get(request) or run.exchange(request)
        except Unjudged as problem:
            return Reach(False, sentence(str(problem)), exchanges)
        exchanges.append(exchange)
        if exchange.ok and not exchange.parsed[1]:
            return Reach(True, "", exchanges)
        first = first or exchange
        if not exchange.status or exchange.status in HOPELESS:
            break
    assert first is not None
    return Reach(False, reason(endpoint, run, first), exchanges)


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def reason(endpoint: str, run: Run, exchange: Exchange) -> str:
    """Why there was no 200, and what to do, in plain words."""
    url, path = run.probe.target.url, exchange.request.path
    place = f"POST {url}{path}"
    if exchange.failure:
        return f"{place}: {exchange.failure}. {silent(exchange)}"
    if exchange.status == 404 and told_of_path(exchange):
        return f"{place} was answered by 404{told(exchange)} {base_advice(url)}"
    advice = ADVICE.get(exchange.status) or ADVICE[exchange.status // 100]
    words = advice[endpoint] if isinstance(advice, dict) else advice
    return f"{place} was answered by {exchange.status}{told(exchange)} {words}"


def told_of_path(exchange: Exchange) -> bool:
    """Whether a 404 is about the path rather than about an id: its text names no criterion and no model."""
    text = exchange.body[:2000].decode("utf-8", "replace").lower()
    return not any(word in text for word in ("criterion", "model"))


def base_advice(url: str) -> str:
    if url.endswith("/api/v1"):
        return "Does this server have the endpoint? Give the base URL that its clients use."
    return f"Is /api/v1 missing? Try {url}/api/v1"


def silent(exchange: Exchange) -> str:
    if "no connection" in exchange.failure:
        return "Is the server running, and is that its address?"
    return "Give it more time with --timeout, or look at its log."


KEY = "Pass a key that it knows with --api-key, or set OPENPIPE_API_KEY and pass --send-key."
IDS = {
    "judge": "Name a criterion that it knows with --criterion.",
    "chat": "Name a model that it knows with --model.",
}
ADVICE: dict[int, str | dict[str, str]] = {
    401: KEY,
    403: KEY,
    429: "It is busy; try again later, or slower with --rate.",
    2: "A 200 whose body is JSON was expected; is this the right URL?",
    3: "Give the URL that it redirects to; redirects are not followed, so that no key goes astray.",
    4: IDS,
    5: "The server fails at the smallest request; look at its log.",
}
