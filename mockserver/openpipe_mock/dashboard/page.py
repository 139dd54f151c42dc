"""Answers with the page at `/` and its files, which hold nothing of this mock: all it shows it asks for."""

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from openpipe_mock.control.guard import Guard, safe_headers
from openpipe_mock.control.listings import ROOT
from openpipe_mock.core.effects import Effects, Head, HeaderList, Reply
from openpipe_mock.core.errors import ApiError, Forbidden, MethodNotSupported, NotFound
from openpipe_mock.core.wording import quoted
from openpipe_mock.openapi.endpoints import base_advice
from openpipe_mock.service.refusals import refusal
from openpipe_mock.sessions.inspection import json_safe

FILES = f"{ROOT}/dashboard/"
"""The path below which the page finds its files."""
ASSETS = Path(__file__).with_name("assets")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do. With trusted types a browser refuses to read any text as HTML."""
_SAFE: HeaderList = tuple((name.encode(), value.encode()) for name, value in safe_headers(POLICY).items())


def is_page(path: str) -> bool:
    """Whether a path is that of the page or of one of its files."""
    return path == "/" or path.startswith(FILES)


class Dashboard:
    """The page of one mock. `guard`: who may use the control API, without which the page shows nothing."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def exchange(self, head: Head) -> Effects:
        """Answer one request to a path of the page."""
        yield from ()
        try:
            reply = self.answered(head)
        except ApiError as error:
            reply = refusal(error)
        return Reply(reply.status, reply.body, (*reply.headers, *_SAFE))

    def answered(self, head: Head) -> Reply:
        """The reply to a request. Raises ApiError."""
        if head.method not in ("GET", "HEAD"):
            told = f"{head.root}{head.path} takes GET and HEAD, not {head.method}"
            advice = f"; for the API {base_advice(head, head.path)}" if head.path == "/" else ""
            raise MethodNotSupported(f"{told}{advice}.", allow=["GET", "HEAD"])
        if head.path != "/":
            return _file(json_safe(head.path.removeprefix(FILES)))
        try:
            self.guard.admit(head)
        except Forbidden:
            # To a browser the page itself tells why, and takes a token: nobody can send one by a link.
            if b"text/html" not in head.headers.get(b"accept", b""):
                raise
            return _page(head.root, 403)
        return _page(head.root, 200)


def _page(root: str, status: int) -> Reply:
    """The page. `root`: the prefix below which another app mounts the mock."""
    text = Template(assets()["index.html"].decode()).substitute(files=escape(root + FILES))
    return Reply(status, text.encode(), _typed("index.html"))


def _file(name: str) -> Reply:
    """A file that the page loads. Anybody may: they are the same in every mock. Raises NotFound."""
    if name not in assets():
        raise NotFound(f"the page has no file {quoted(name)}.")
    return Reply(200, assets()[name], _typed(name))


def _typed(name: str) -> HeaderList:
    return ((b"content-type", _TYPES[Path(name).suffix].encode()),)


@cache
def assets() -> Mapping[str, bytes]:
    """The page's files by name. They are read once: a server without free file handles shows them too."""
    return {path.name: path.read_bytes() for path in sorted(ASSETS.iterdir())}
