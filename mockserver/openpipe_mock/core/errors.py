"""The API's errors as data: raise one anywhere, the service renders it once.

    ApiError
    ├── ParseError            400 PARSE_ERROR            the body is not the JSON that the API reads
    ├── BadRequest            400 BAD_REQUEST            the request breaks the contract
    ├── Unauthorized          401 UNAUTHORIZED           no usable key
    ├── Forbidden             403 FORBIDDEN              this client may not make the request
    ├── NotFound              404 NOT_FOUND              unknown path, endpoint, criterion or model
    │   ├── CriterionNotFound
    │   └── SessionNotFound
    ├── MethodNotSupported    405 METHOD_NOT_SUPPORTED   known path, wrong method
    ├── Conflict              409 CONFLICT               the control API can open no further session
    ├── PayloadTooLarge       413 PAYLOAD_TOO_LARGE      the body is over the limit
    ├── TooManyRequests       429 TOO_MANY_REQUESTS      a key is over its limits
    ├── CriterionFailed       500 or as declared         a criterion that fails on purpose
    ├── StateUnavailable      503 SERVICE_UNAVAILABLE    the Redis that sessions share can't be reached
    ├── TooManySessions       503 SERVICE_UNAVAILABLE    there is no room for the session that a request names
    └── InternalServerError   500 INTERNAL_SERVER_ERROR  a defect of the mock, never an answer to an input

Codes, statuses and the beginning of each message are the provider's (source class: source);
the text after the colon is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openpipe_mock.core.wording import short

MOST_ISSUES = 20


class ApiError(Exception):
    """An error answer: status, code, one message, and one issue for each thing that is wrong.

    The body is `{message, code, issues?: [{message}]}` and nothing else (documented). The message is `words`
    (by default the class's), a colon and `detail`.
    """

    status: int
    code: str
    words: str
    headers: tuple[tuple[str, str], ...] = ()
    note: str = ""
    """A sentence for the terminal and the journal, told once."""

    def __init__(self, detail: str = "", *, issues: Sequence[str] = (), words: str = "") -> None:
        words = words or self.words
        self.message = f"{words}: {detail}" if detail else words
        self.brief = self.message
        """The text for the log's line; by default the message."""
        self.issues = tuple(issues)
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The error body in the documented form."""
        answer: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.issues:
            answer["issues"] = [{"message": issue} for issue in self.issues]
        return answer


class ParseError(ApiError):
    status, code, words = 400, "PARSE_ERROR", "Failed to parse request body"


class BadRequest(ApiError):
    status, code, words = 400, "BAD_REQUEST", "Input validation failed"

    @classmethod
    def at(cls, place: str, sentence: str) -> "BadRequest":
        """An error about one place, a JSON pointer or a header, which is both its message and its issue."""
        issue = f"{place}: {sentence}"
        return cls(issue, issues=[issue])


class Unauthorized(ApiError):
    status, code, words = 401, "UNAUTHORIZED", "Unauthorized"
    headers = (("www-authenticate", "Bearer"),)


class Forbidden(ApiError):
    status, code, words = 403, "FORBIDDEN", "Forbidden"


class NotFound(ApiError):
    status, code, words = 404, "NOT_FOUND", "Not found"


class CriterionNotFound(NotFound):
    """`Criterion NAME not found` or `Criterion version V not found for criterion NAME`."""

    def __init__(self, sentence: str, *, issues: Sequence[str] = ()) -> None:
        super().__init__(issues=issues, words=sentence)


class SessionNotFound(NotFound):
    """The session was never made; one that has expired is a plain NotFound."""


class CriterionFailed(ApiError):
    """A criterion that fails on purpose, with the status and message that its declaration names."""

    status, code, words = 500, "INTERNAL_SERVER_ERROR", "Criterion failed"

    def __init__(self, status: int, message: str, *, seconds: float | None = None) -> None:
        """`seconds` becomes the header `retry-after`, rounded to whole seconds; None sends no header."""
        super().__init__(words=message)
        self.status, self.code = status, code(status)
        self.headers = () if seconds is None else (("retry-after", f"{seconds:.0f}"),)


CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_SUPPORTED",
    408: "TIMEOUT",
    409: "CONFLICT",
    412: "PRECONDITION_FAILED",
    413: "PAYLOAD_TOO_LARGE",
    422: "UNPROCESSABLE_CONTENT",
    429: "TOO_MANY_REQUESTS",
    499: "CLIENT_CLOSED_REQUEST",
    500: "INTERNAL_SERVER_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}
"""Status → code (source class: source; those of 502 to 504: decision)."""


def code(status: int) -> str:
    """The API's code for a status; a status without one gets the code of 400 or 500."""
    return CODES.get(status) or CODES[500 if status >= 500 else 400]


class MethodNotSupported(ApiError):
    status, code, words = 405, "METHOD_NOT_SUPPORTED", "Method not supported"

    def __init__(self, detail: str, *, allow: Sequence[str]) -> None:
        super().__init__(detail)
        self.headers = (("allow", ", ".join(allow)),)


class Conflict(ApiError):
    status, code, words = 409, "CONFLICT", "Conflict"


class PayloadTooLarge(ApiError):
    status, code, words = 413, "PAYLOAD_TOO_LARGE", "Request body too large"


class TooManyRequests(ApiError):
    status, code, words = 429, "TOO_MANY_REQUESTS", "Too many requests"

    def __init__(self, detail: str, *, seconds: int) -> None:
        super().__init__(detail)
        self.headers = (("retry-after", str(seconds)),)


class StateUnavailable(ApiError):
    """A request needs the state of its session, and the Redis that holds it can't be reached."""

    status, code, words = 503, "SERVICE_UNAVAILABLE", "Service unavailable"
    headers = (("retry-after", "1"),)


class NotReady(ApiError):
    """A server is asked whether requests may come, and they may not yet or no more."""

    status, code, words = 503, "SERVICE_UNAVAILABLE", "Not ready"
    headers = (("retry-after", "1"),)


class TooManySessions(ApiError):
    """A request names a new session, but the control API opened as many as there may be."""

    status, code, words = 503, "SERVICE_UNAVAILABLE", "Service unavailable"
    headers = (("retry-after", "1"),)


class InternalServerError(ApiError):
    status, code, words = 500, "INTERNAL_SERVER_ERROR", "Internal server error"


@dataclass(slots=True, unsafe_hash=True)
class Violation:
    """One broken rule: JSON pointer (RFC 6901) to the member, the schema keyword, and the sentence.

    `told` is the sentence, or a function that makes it.
    """

    # A sentence is made when it is read: of a thousand violations only a few are, and `words` keeps those.
    pointer: str
    rule: str
    told: str | Callable[[], str]
    words: str = field(default="", init=False, compare=False, repr=False)

    @property
    def sentence(self) -> str:
        return self.told if isinstance(self.told, str) else self.told()

    def __str__(self) -> str:
        self.words = self.words or f"{short(self.pointer, 200) or 'body'}: {self.sentence}"
        return self.words
