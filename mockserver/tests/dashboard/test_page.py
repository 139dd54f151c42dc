"""The page's files: what they may hold, and to whom they go."""

import json
import re
from html.parser import HTMLParser

import pytest

from openpipe_mock.control.guard import Guard
from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.dashboard.page import FILES, Dashboard, assets
from tests.environments import ROOT

MOST_BYTES = 150_000
BROWSER = {b"host": b"localhost:6736", b"accept": b"text/html,application/xhtml+xml,*/*;q=0.8"}
ELSEWHERE = "172.17.0.1"
SCRIPTS = sorted(name for name in assets() if name.endswith(".js"))
READS_TEXT_AS_MORE = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "srcdoc",
    "eval(",
    "Function(",
)


def asked(
    path: str = "/",
    method: str = "GET",
    *,
    peer: str = "127.0.0.1",
    headers: dict[bytes, bytes] = BROWSER,
    root: str = "",
) -> Reply:
    """What a request to the page is answered."""
    exchange = Dashboard(Guard()).exchange(Head(method, path, headers, peer=peer, root=root))
    with pytest.raises(StopIteration) as stopped:
        next(exchange)
    reply: Reply = stopped.value.value
    return reply


class Loaded(HTMLParser):
    """What a page loads, and what it holds that a policy without inline code forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.files += [
            given[name] or "" for name in ("src", "href") if name in given and given[name] != "#main"
        ]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []


def test_the_page_holds_no_inline_code_and_loads_its_own_files_alone() -> None:
    reply = asked()
    assert (reply.status, dict(reply.headers)[b"content-type"]) == (200, b"text/html; charset=utf-8")
    loaded = Loaded(reply.body.decode())
    assert loaded.inline == []
    assert {name.removeprefix(FILES) for name in loaded.files} == {"app.js", "style.css", "icon.svg"}


def test_the_page_and_its_files_are_small() -> None:
    assert sum(map(len, assets().values())) <= MOST_BYTES


def test_all_files_are_loaded_by_the_page_and_name_no_other_host() -> None:
    imported = {
        name for script in SCRIPTS for name in re.findall(r'from "\./([\w.]+)"', assets()[script].decode())
    }
    assert imported | {"app.js", "style.css", "icon.svg", "index.html"} == set(assets())
    hosts = {host for text in assets().values() for host in re.findall(rb"https?://[\w.-]+", text)}
    assert hosts <= {b"http://www.w3.org", b"https://api.openpipe.ai"}  # a name of SVG, and text of a snippet


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_reads_a_text_as_html_or_code(name: str) -> None:
    text = assets()[name].decode()
    assert [each for each in READS_TEXT_AS_MORE if each in text] == []


def test_a_policy_keeps_the_page_from_running_anything_else() -> None:
    headers = dict(asked().headers)
    policy = dict(part.split(" ", 1) for part in headers[b"content-security-policy"].decode().split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("name", assets())
def test_anybody_gets_the_files_which_hold_nothing_of_the_mock(name: str) -> None:
    reply = asked(f"{FILES}{name}", peer=ELSEWHERE)
    assert (reply.status, reply.body) == (200, assets()[name])
    kinds = {"css": b"text/css", "html": b"text/html", "js": b"text/javascript", "svg": b"image/svg+xml"}
    assert dict(reply.headers)[b"content-type"].startswith(kinds[name.rpartition(".")[2]])


@pytest.mark.parametrize("name", ["nothing.js", "", "../page.py", "%2e%2e/page.py", "app.js/", "\udcff"])
def test_there_are_no_other_files(name: str) -> None:
    reply = asked(f"{FILES}{name}")
    assert (reply.status, json.loads(reply.body)["code"]) == (404, "NOT_FOUND")


def test_who_may_not_is_refused_and_a_browser_gets_the_page_to_say_why() -> None:
    page, told = asked(peer=ELSEWHERE), asked(peer=ELSEWHERE, headers={b"host": b"localhost"})
    assert (page.status, page.body) == (403, asked().body)
    assert told.status == 403
    assert ELSEWHERE in json.loads(told.body)["message"]


@pytest.mark.parametrize("page", ["README.md", "docs/dashboard.md"])
def test_the_pictures_that_pages_show_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert pictures
    assert all((ROOT / page).parent.joinpath(each).is_file() for each in pictures)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_is_only_read(method: str) -> None:
    reply = asked(method=method)
    assert (reply.status, dict(reply.headers)[b"allow"]) == (405, b"GET, HEAD")


def test_a_base_url_that_ends_too_early_is_told_where_the_api_is() -> None:
    told = json.loads(asked(method="POST", root="/mock").body)["message"]
    assert told.endswith(
        "takes GET and HEAD, not POST; for the API let the base URL end in /mock/api/v1, once."
    )
    elsewhere = json.loads(asked(f"{FILES}page.js", "POST").body)["message"]
    assert elsewhere.endswith("takes GET and HEAD, not POST.")


def test_a_page_below_a_prefix_finds_its_files_there() -> None:
    loaded = Loaded(asked(root="/a%20b/&").body.decode())
    assert {name.partition("/_mock/")[0] for name in loaded.files} == {"/a%20b/&"}
