"""The paths that the mock serves, and the errors for other paths and methods."""

import re
from dataclasses import dataclass

from openpipe_mock.core.effects import Head
from openpipe_mock.core.errors import ApiError, MethodNotSupported, NotFound
from openpipe_mock.core.wording import listed, nearest, quoted

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that the mock serves.

    `name`: in conditions and in the journal. `path`: below BASE. `request`: the schema of its body, "" for
    none. `answer`: the schema of its answer, for endpoints that the contract suite checks. `streams`: whether
    it can stream. `writes`: whether a read-only key may not use it.
    """

    name: str
    path: str
    method: str = "POST"
    request: str = ""
    answer: str = ""
    streams: bool = False
    writes: bool = False


ENDPOINTS = {
    each.name: each
    for each in (
        Endpoint("judge", "/criteria/judge", request="JudgeCriteriaRequest", answer="JudgeCriteriaResponse"),
        Endpoint(
            "chat",
            "/chat/completions",
            request="ChatCompletionRequest",
            answer="ChatCompletion",
            streams=True,
        ),
        Endpoint("report", "/report", request="ReportRequest", writes=True),
        Endpoint("report-anthropic", "/report-anthropic", request="ReportAnthropicRequest", writes=True),
        Endpoint("update-tags", "/logs/update-tags", request="UpdateLogTagsRequest", writes=True),
        Endpoint("update-metadata", "/logs/update-metadata", request="UpdateLogMetadataRequest", writes=True),
        Endpoint("check-cache", "/check-cache", request="CheckCacheRequest"),
        Endpoint("latest-logged-call", "/local-testing-only-get-latest-logged-call", "GET"),
        Endpoint("models", "/models", "GET"),
        Endpoint("model", "/models/{id}", "GET"),
        Endpoint("create-model", "/models", request="CreateModelRequest", writes=True),
        Endpoint("delete-model", "/models/{id}", "DELETE", writes=True),
        Endpoint("datasets", "/datasets", "GET"),
        Endpoint("create-dataset", "/datasets", request="CreateDatasetRequest", writes=True),
        Endpoint(
            "create-entries", "/datasets/{id}/entries", request="CreateDatasetEntriesRequest", writes=True
        ),
        Endpoint("delete-dataset", "/datasets/{id}", "DELETE", writes=True),
        Endpoint("unstable-datasets", "/unstable/dataset/list", "GET"),
        Endpoint(
            "unstable-create-dataset", "/unstable/dataset/create", request="CreateDatasetRequest", writes=True
        ),
        Endpoint(
            "unstable-delete-dataset", "/unstable/dataset/delete", request="UnstableDataset", writes=True
        ),
        Endpoint(
            "unstable-create-entries",
            "/unstable/dataset-entry/create",
            request="UnstableCreateEntriesRequest",
            writes=True,
        ),
        Endpoint("unstable-model", "/unstable/finetune/get", "GET"),
        Endpoint(
            "unstable-create-model",
            "/unstable/finetune/create",
            request="UnstableCreateFinetuneRequest",
            writes=True,
        ),
        Endpoint(
            "unstable-delete-model",
            "/unstable/finetune/delete",
            request="UnstableDeleteFinetuneRequest",
            writes=True,
        ),
    )
}
"""Name → endpoint. Of those whose path has `{id}`, the longer path comes first."""


def path_pattern(path: str) -> re.Pattern[str]:
    """Compile a path with `{id}` for any text; a model's id may have slashes."""
    return re.compile(re.escape(path).replace(r"\{id\}", "(.+)"))


_PLAIN = {(f"{BASE}{each.path}", each.method): each for each in ENDPOINTS.values() if "{id}" not in each.path}
_WITH_ID = [(path_pattern(BASE + each.path), each) for each in ENDPOINTS.values() if "{id}" in each.path]


def endpoints_at(path: str) -> list[Endpoint]:
    """The endpoints of a path, one for each method that it takes."""
    plain = [each for each in ENDPOINTS.values() if BASE + each.path == path]
    if plain:
        return plain
    found = [each for pattern, each in _WITH_ID if pattern.fullmatch(path)]
    return [each for each in found if each.path == found[0].path]


def endpoint_at(path: str, method: str = "") -> Endpoint | None:
    """The endpoint of a path and method, by another method one of the path; None where none is served."""
    plain = _PLAIN.get((path, method))
    if plain:
        return plain
    found = endpoints_at(path)
    return next((each for each in found if each.method == method), found[0] if found else None)


SESSION = re.compile(r"/_mock/sessions/(?P<name>[^/]+)(?P<path>/api/.*)")
"""Matches an API path that names its session."""


def is_control(path: str) -> bool:
    """Whether a path belongs to the control API; an API path that names its session doesn't."""
    return path.startswith("/_mock/") and not SESSION.fullmatch(path)


_INSTEAD = {
    "/responses": "this mock has no Responses API. Make the client use chat completions: AI SDK "
    "`openai.chat(model)`; pydantic-ai `openai-chat:MODEL` or `OpenAIChatModel`; openai-agents "
    '`set_default_openai_api("chat_completions")`, in JavaScript `setOpenAIAPI("chat_completions")`; '
    "LangChain `use_responses_api=False`, in JavaScript `useResponsesApi: false`; OpenAI's own clients "
    "`client.chat.completions.create(…)`",
    "/completions": "this mock has no completions of plain prompts. Make the client use chat completions: "
    "AI SDK `openai.chat(model)`; LangChain `ChatOpenAI`; litellm `openai/MODEL`; OpenAI's own clients "
    "`client.chat.completions.create(…)`",
    "/embeddings": "this mock has chat completions and no embeddings. Give what embeds another base URL, or "
    "a stub of your own",
    "/messages": "this mock has no Messages API of Anthropic's. Make an OpenAI client use chat completions, "
    "with a model such as `anthropic:claude-3-5-sonnet-20241022`: AI SDK `openai.chat(model)`; pydantic-ai "
    "`OpenAIChatModel`; LangChain `ChatOpenAI`; litellm `openai/MODEL`",
}
"""Endpoints of other APIs that popular clients ask by default → what is said of them."""

_HOST = re.compile(r"[\w.-]{1,255}(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?", re.ASCII)


def wrong_method(head: Head, path: str) -> ApiError:
    """The error for a request to a served path by another method. `path`: without the session's name."""
    served = endpoints_at(path)
    methods = [each.method for each in served]
    told = f"{head.root}{BASE}{served[0].path} takes {listed(methods, 'and')}, not {head.method}."
    return MethodNotSupported(told, allow=methods)


def not_found(head: Head, path: str) -> NotFound:
    """The error for a path that isn't served: it says what is meant, or the base URL that was meant.

    `path`: without the session's name.
    """
    sent, base = quoted(head.root + path), f"{head.root}{BASE}"
    clean = re.sub(r"/+", "/", path).rstrip("/")
    tail = re.sub(r"^(?:/api/v1|/v1|/api)+(?=/)", "", clean)
    meant = endpoint_at(f"{BASE}{tail}") or _ending(tail)
    if meant:
        advice = "mind the slashes" if endpoint_at(clean) else base_advice(head, path)
        return NotFound(f"{sent} is served as {base}{meant.path}; {advice}.")
    if tail in _INSTEAD:
        advice = "" if clean == f"{BASE}{tail}" else f"; for chat completions {base_advice(head, path)}"
        return NotFound(f"{_INSTEAD[tail]}{advice}.")
    near = nearest(tail, [each.path for each in ENDPOINTS.values()])
    main = " and ".join(f"{base}{each.path}" for each in ENDPOINTS.values() if each.answer)
    advice = f"did you mean {base}{near}?" if near else f"the main endpoints are {main}."
    return NotFound(f"there is no {sent} here; {advice}")


def _ending(tail: str) -> Endpoint | None:
    """The endpoint whose path ends a longer one: the base URL is a whole URL, or another service's."""
    return next((each for each in ENDPOINTS.values() if tail.endswith(each.path)), None)


def base_advice(head: Head, path: str) -> str:
    """The base URL that leads here, as the request came; of one that came by no socket, only how it ends."""
    prefix = head.root + head.path.removesuffix(path) + BASE
    host = head.headers.get(b"host", b"").decode("latin-1")
    if head.scheme and _HOST.fullmatch(host):
        return f"let the base URL be {head.scheme}://{host}{prefix}"
    return f"let the base URL end in {prefix}, once"
