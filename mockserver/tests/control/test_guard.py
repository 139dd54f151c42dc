"""Who may use the control API and see the page: peers, proxies, tokens, names, origins, and what is told."""

import asyncio
import json
import logging
import socket
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.cli.options import variable
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import ROUTES, Control
from openpipe_mock.control.guard import Guard, UnfitFlag, address, guard, joined
from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.core.errors import Forbidden
from openpipe_mock.server.asgi import create_app
from openpipe_mock.service.service import Service
from tests.environments import ROOT, here
from tests.generate import thorough
from tests.inprocess import HEADERS, JUDGE, MINIMAL
from tests.live import Live, finished, serving
from tests.markdown import blocks

Json = Any
Headers = Mapping[str, str]

HERE, ELSEWHERE = "127.0.0.1", "203.0.113.9"
TOKEN = "t0ken-of-control"
OPEN_GUARD = guard(TOKEN, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"], ["mock", "Mock.Test"])


def refusal(
    peer: str = HERE, headers: Headers | None = None, *, by: Guard | None = None, path: str = "/"
) -> str:
    """What a guard says to a request; "" where it lets it in."""
    sent = {name.lower().encode(): value.encode("latin-1") for name, value in (headers or {}).items()}
    try:
        (by or Guard()).admit(Head("GET", path, sent, peer=peer))
    except Forbidden as error:
        return error.message
    return ""


# Peers


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_this_machine_comes_in(peer: str) -> None:
    assert refusal(peer) == ""


FAR = [
    "203.0.113.9",
    "10.0.0.1",
    "192.168.1.7",
    "0.0.0.0",
    "169.254.1.1",
    "fe80::1%eth0",
    "2001:db8::7",
    "::",
]
ODD = [
    "unknown",
    "testclient",
    "localhost",
    "127.0.0.1.example.com",
    "127.1",
    "2130706433",
    "0x7f000001",
    "127.0.0.1\n1",
]


@pytest.mark.parametrize("peer", FAR)
def test_another_machine_does_not_and_the_refusal_names_it_and_the_flag(peer: str) -> None:
    told = refusal(peer)
    plain = peer.partition("%")[0]
    assert told.startswith("Forbidden: ")
    assert f"{plain} is another" in told
    assert f"--allow-control-from {plain}" in told
    assert "--control-token" in told


@pytest.mark.parametrize("peer", ODD)
def test_what_is_no_address_is_not_this_machine(peer: str) -> None:
    assert "--allow-control-from CIDR" in refusal(peer)


def test_what_was_sent_in_this_process_comes_in_under_any_name() -> None:
    assert refusal("", {"Host": "api.example", "Origin": "https://evil.example"}) == ""


@pytest.mark.parametrize("peer", ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8:1::1", "192.0.2.1"])
def test_who_is_in_an_allowed_network_comes_in(peer: str) -> None:
    assert refusal(peer, by=OPEN_GUARD) == ""


@pytest.mark.parametrize("peer", ["11.0.0.1", "192.0.2.2", "2001:db9::1", "203.0.113.9"])
def test_who_is_beside_it_does_not(peer: str) -> None:
    assert f"--allow-control-from {peer}" in refusal(peer, by=OPEN_GUARD)


# Proxies


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": ELSEWHERE},
        {"X-Forwarded-For": f"127.0.0.1, {ELSEWHERE}"},
        {"X-Forwarded-For": f"{ELSEWHERE}, 127.0.0.1"},
        {"X-Forwarded-For": f"{ELSEWHERE}:4711"},
        {"X-Real-IP": ELSEWHERE},
        {"Forwarded": f"for={ELSEWHERE};proto=https"},
        {"Forwarded": f'for=127.0.0.1, For="{ELSEWHERE}:4711"'},
        {"Forwarded": f"proto=https; for = {ELSEWHERE}"},
    ],
)
def test_a_proxy_on_this_machine_lets_no_stranger_in(headers: Headers) -> None:
    assert f"{ELSEWHERE} is another" in refusal(HERE, headers)


@pytest.mark.parametrize("written", ["unknown", "_hidden", "", "127.0.0.1,", "\xff"])
@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP"])
def test_a_proxy_that_hides_for_whom_it_asks_is_refused(name: str, written: str) -> None:
    assert "is another" in refusal(HERE, {name: written})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-For": "::1, ::ffff:127.0.0.1, 127.0.0.1:80"},
        {"X-Real-IP": "[::1]:4711"},
        {"Forwarded": 'for="[::1]:4711";by=203.0.113.1'},
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "anything"},
    ],
)
def test_a_proxy_that_asks_for_this_machine_comes_in(headers: Headers) -> None:
    assert refusal(HERE, headers) == ""


def test_no_header_makes_a_stranger_one_of_us() -> None:
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "Client-IP"):
        for value in (HERE, f"for={HERE}", "::1", "10.0.0.1"):
            assert f"{ELSEWHERE} is another" in refusal(ELSEWHERE, {name: value}, by=OPEN_GUARD)


def test_a_proxy_for_an_allowed_network_comes_in() -> None:
    assert refusal(HERE, {"X-Forwarded-For": "10.1.2.3"}, by=OPEN_GUARD) == ""
    assert refusal("10.0.0.2", {"X-Forwarded-For": ELSEWHERE}, by=OPEN_GUARD) != ""


# Tokens


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN} "},
        {"X-Mock-Token": TOKEN},
        {"X-Mock-Token": TOKEN, "Authorization": "Bearer op-local"},
        {"X-Mock-Token": TOKEN, "Host": "any.name.example", "X-Forwarded-For": "unknown"},
    ],
)
def test_who_knows_the_token_comes_in_from_anywhere_and_under_any_name(headers: Headers) -> None:
    assert refusal(ELSEWHERE, headers, by=OPEN_GUARD) == ""


WRONG = ["", "t", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "Bearer", "\xff" * 16]


@pytest.mark.parametrize("token", WRONG)
def test_who_does_not_know_it_stays_outside_and_is_not_told_it(token: str) -> None:
    for headers in ({"X-Mock-Token": token}, {"Authorization": f"Bearer {token}"}):
        told = refusal(ELSEWHERE, headers, by=OPEN_GUARD)
        assert f"{ELSEWHERE} is another" in told
        assert ("whose token is not that of --control-token" in told) == bool(token)
        assert TOKEN not in told


def test_a_token_counts_only_where_one_was_set_and_only_in_its_headers() -> None:
    for headers in ({"X-Mock-Token": ""}, {"Authorization": "Bearer "}, {"X-Mock-Token": TOKEN}):
        assert "is another" in refusal(ELSEWHERE, headers)
    for headers in (
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"x-mock-token={TOKEN}"},
    ):
        assert "is another" in refusal(ELSEWHERE, headers, by=OPEN_GUARD)


def test_the_key_of_the_api_does_no_harm_on_this_machine() -> None:
    assert refusal(HERE, {"Authorization": "Bearer op-local"}, by=OPEN_GUARD) == ""


def test_no_representation_shows_the_token() -> None:
    assert TOKEN not in repr(OPEN_GUARD)
    assert TOKEN not in repr(OPEN_GUARD.called("x"))


# Names


OURS = [
    "localhost",
    "LOCALHOST:6736",
    "localhost.",
    "app.localhost:80",
    "127.0.0.1",
    "127.0.0.1:6736",
    "[::1]",
    "[::1]:6736",
    "192.168.1.7:6736",
]
NOT_OURS = [
    "evil.example",
    "evil.example:6736",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example/localhost",
    "evil.example#.localhost",
    "mock",
    "",
    ":6736",
    "[::1",
    "[]",
    "[localhost]",
    "localhost:x",
    "localhost localhost",
    "2130706433",
    "\xff",
]


@pytest.mark.parametrize("host", OURS)
def test_a_name_of_this_machine_and_an_address_will_do(host: str) -> None:
    assert refusal(HERE, {"Host": host}) == ""


@pytest.mark.parametrize("host", NOT_OURS)
def test_another_name_will_not(host: str) -> None:
    told = refusal(HERE, {"Host": host})
    assert told.startswith("Forbidden: ")
    assert "`Host`" in told
    assert not set("<>\xff#@") & set(told)


def test_the_refusal_of_a_name_says_which_flag_lets_it_in() -> None:
    assert "--allowed-host mock.test" in refusal(HERE, {"Host": "Mock.test:6736"})


@pytest.mark.parametrize("host", ["mock", "MOCK:6736", "mock.", "mock.test:1"])
def test_a_name_that_was_allowed_will_do_in_any_case_and_with_any_port(host: str) -> None:
    assert refusal(HERE, {"Host": host}, by=OPEN_GUARD) == ""


def test_the_host_that_it_listens_on_is_a_name_of_its_own() -> None:
    assert refusal(HERE, {"Host": "my-machine:6736"}, by=Guard().called("My-Machine")) == ""
    assert refusal(HERE, {"Host": "evil.example"}, by=Guard().called("My-Machine")) != ""


def test_without_a_name_it_was_no_browser() -> None:
    assert refusal(HERE) == ""


# Origins and the health check


@pytest.mark.parametrize("host", ["mock:6736", "Mock.Test:6736", "192.0.2.1:6736", "[2001:db8::7]:6736"])
def test_the_mock_s_own_page_may_ask_under_each_name_that_the_mock_goes_by(host: str) -> None:
    for scheme in ("http", "https"):
        assert (
            refusal("10.1.1.1", {"Origin": f"{scheme}://{host}".lower(), "Host": host}, by=OPEN_GUARD) == ""
        )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://mock:8080", "mock:6736"),
        ("http://other:6736", "mock:6736"),
        ("ftp://mock:6736", "mock:6736"),
        ("http://evil.example:6736", "evil.example:6736"),
        ("http://mock:6736", None),
        ("http://", ""),
    ],
)
def test_another_origin_or_a_name_that_the_mock_doesnt_go_by_is_refused(
    origin: str, host: str | None
) -> None:
    headers = {"Origin": origin, **({} if host is None else {"Host": host})}
    assert refusal("10.1.1.1", headers, by=OPEN_GUARD)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_pages_of_other_sites_get_nothing_not_even_with_the_token(origin: str) -> None:
    headers = {"Origin": origin, "X-Mock-Token": TOKEN}
    for path in ("/_mock/health", "/_mock/status", "/"):
        assert "no page of another site" in refusal(HERE, headers, by=OPEN_GUARD, path=path)


def test_anybody_may_ask_for_the_health_and_for_nothing_else() -> None:
    strange = {"Host": "pod.example", "X-Forwarded-For": ELSEWHERE}
    assert refusal(ELSEWHERE, strange, path="/_mock/health") == ""
    for path in ("/_mock/health/", "/_mock//health", "/_mock/healthy", "/_mock/sessions/a/_mock/health", "/"):
        assert refusal(ELSEWHERE, strange, path=path) != ""


# Flags


@pytest.mark.parametrize("token", ["", " ", "a b", "é", "a\n", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(UnfitFlag, match="--control-token: expected printable ASCII"):
        guard(token)


@pytest.mark.parametrize("written", ["", "10", "10.0.0.0/33", "all", "10.0.0.0/8,11.0.0.0/8", "::/129", "é"])
def test_what_is_no_network_is_refused(written: str) -> None:
    with pytest.raises(UnfitFlag, match=r"expected an address or a network, as in 172\.16\.0\.0/12"):
        guard(networks=[written])


def test_a_network_may_be_written_as_an_ipv6_one() -> None:
    by = guard(networks=["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"])
    assert [refusal(peer, by=by) for peer in ("10.9.9.9", "::ffff:10.0.0.1", "192.0.2.1")] == [""] * 3
    assert "is another" in refusal("192.0.2.2", by=by)
    assert "is another" in refusal("10.0.0.1", by=guard(networks=["::fffe:0:0/95"]))


def test_an_address_with_a_prefix_could_mean_two_things_and_is_asked_about() -> None:
    with pytest.raises(UnfitFlag, match=r"did you mean 192\.168\.1\.0/24, or 192\.168\.1\.7 alone\?"):
        guard(networks=["192.168.1.7/24"])


@pytest.mark.parametrize("name", ["", "http://mock", "mock:80", "a b", "*", ".mock", "é"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UnfitFlag, match="expected a name without scheme and port"):
        guard(hosts=[name])


@thorough
@given(st.ip_addresses(), st.ip_addresses())
def test_only_loopback_and_the_allowed_come_in_whatever_the_address(peer: Any, allowed: Any) -> None:
    only = guard(networks=[str(allowed)])
    peer, allowed = (getattr(each, "ipv4_mapped", None) or each for each in (peer, allowed))
    assert (refusal(str(peer), by=only) == "") == (peer.is_loopback or peer == allowed)


@thorough
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_is_sent_makes_the_guard_stumble(host: str, by: str, token: str) -> None:
    sent = {
        b"host": host.encode("utf-8", "replace"),
        b"x-forwarded-for": by.encode("utf-8", "replace"),
        b"forwarded": b"for=" + by.encode("utf-8", "replace"),
        b"x-mock-token": token.encode("utf-8", "replace"),
    }
    with pytest.raises(Forbidden) as caught:
        OPEN_GUARD.admit(Head("GET", "/_mock/status", sent, peer=ELSEWHERE))
    assert ELSEWHERE in caught.value.message
    assert address(host) is None or host.strip()


# The app


def asked(
    path: str,
    method: str = "GET",
    *,
    peer: str = HERE,
    headers: Headers | None = None,
    by: Guard | None = None,
) -> httpx.Response:
    """The answer of an app behind a guard to a peer."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(Settings(), by), client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:6736") as client:
            return await client.request(
                method, path, headers=headers, content=b"{}" if method == "PUT" else None
            )

    return asyncio.run(ask())


SAFE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
CONTROL = sorted(
    {("GET", "/_mock/" + "nowhere"), *((route.method, f"/_mock{route.path}") for route in ROUTES)}
)


def safe(answer: httpx.Response) -> bool:
    policy = answer.headers["content-security-policy"]
    framed = "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    return framed and SAFE.items() <= dict(answer.headers).items()


@pytest.mark.parametrize(("method", "path"), [*CONTROL, ("GET", "/"), ("HEAD", "/")])
def test_a_stranger_is_refused_on_every_path_and_each_answer_is_safe(method: str, path: str) -> None:
    expected = 200 if path in ("/_mock/health", "/_mock/ready") else 403
    answer = asked(path, method, peer=ELSEWHERE)
    assert (answer.status_code, safe(answer)) == (expected, True)
    if expected == 403 and method != "HEAD":
        assert (answer.json()["code"], ELSEWHERE in answer.json()["message"]) == ("FORBIDDEN", True)
    method = "HEAD" if path == "/_mock/events" else method  # a feed has no end
    assert safe(asked(path, method))
    assert asked(path, method).status_code != 403


@pytest.mark.parametrize("path", ["/_mock/status", "/"])
def test_the_app_takes_token_network_and_name_from_its_guard(path: str) -> None:
    assert asked(path, peer=ELSEWHERE, headers={"X-Mock-Token": TOKEN}, by=OPEN_GUARD).status_code == 200
    assert asked(path, peer="10.1.1.1", by=OPEN_GUARD).status_code == 200
    assert asked(path, headers={"Host": "mock"}, by=OPEN_GUARD).status_code == 200
    assert asked(path, headers={"Host": "mock"}).status_code == 403
    assert asked(path, headers={"Origin": "https://evil.example"}, by=OPEN_GUARD).status_code == 403


def test_the_wrong_method_on_the_page_is_refused_with_safe_headers_too() -> None:
    answer = asked("/", "POST", peer=ELSEWHERE)
    assert (answer.status_code, safe(answer)) == (405, True)


@pytest.mark.parametrize("client", [None, ["", 0], ["unix", None]])
def test_a_server_that_does_not_tell_the_peer_opens_no_door(client: Any) -> None:
    sent: list[Any] = []

    async def receive() -> Json:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/_mock/status", "headers": [], "client": client}

    async def run() -> None:
        await create_app()(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("path", [JUDGE, f"/_mock/sessions/s/{JUDGE[1:]}"])
def test_the_api_is_open_to_every_peer_under_every_name(path: str) -> None:
    """Its calls carry a key, and a mock is asked by the name that its container has."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(), client=(ELSEWHERE, 5000))
        headers = {name.decode(): value.decode() for name, value in HEADERS.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://mock:6736") as client:
            return await client.post(path, headers=headers, json=dict(MINIMAL))

    assert asyncio.run(ask()).status_code == 200


def test_headers_that_stand_once_stay_as_they_are() -> None:
    headers = [(b"host", b"a"), (b"accept", b"b"), (b"accept", b"c")]
    assert joined(headers) is headers
    twice = [(b"host", b"a"), (b"accept", b"b"), (b"host", b"c")]
    assert joined(twice) == [(b"accept", b"b"), (b"host", b"a, c")]


def test_no_trick_with_the_path_leads_past_the_guard() -> None:
    tricks = [
        "/_mock/sessions/x/_mock/status",
        "/_mock/sessions/x%0A/_mock/status",
        "/_mock/%68ealth/../status",
        "/_mock/health%2F..%2Fstatus",
        "/_mock/sessions/api/v1",
        "/_mock/sessions/a%2Fapi%2F/_mock/reset",
        "/%5Fmock/status",
        "/_mock/./status",
    ]
    for path in tricks:
        answer = asked(path, peer=ELSEWHERE)
        assert (answer.status_code, answer.json()["code"]) in ((403, "FORBIDDEN"), (404, "NOT_FOUND")), path


def test_the_token_is_in_no_answer_no_log_and_no_journal(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    app = create_app(service, OPEN_GUARD)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(ELSEWHERE, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://mock:6736") as client:
            known = {"X-Mock-Token": TOKEN, "Authorization": f"Bearer {TOKEN}"}
            api = await client.post(JUDGE, json=dict(MINIMAL), headers=known)
            wrong = await client.get(f"/{TOKEN[:4]}", headers=known)
            seen = [
                await client.get(f"/_mock{path}", headers=known) for path in ("/requests", "/status", "/no")
            ]
            one = await client.get("/_mock/requests/default-1", headers=known)
            return [api, wrong, *seen, one, await client.get("/", headers=known)]

    with caplog.at_level(logging.DEBUG):
        answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 404, 200, 200, 404, 200, 200]
    for answer in answers:
        assert TOKEN not in answer.text
        assert TOKEN not in str(answer.headers)
    assert '"x-mock-token":"***"' in answers[-2].text
    assert "openpipe_mock" in {record.name.partition(".")[0] for record in caplog.records}
    assert TOKEN not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert TOKEN not in repr(list(service.sessions.default.journal.entries))


def test_in_process_callers_need_no_guard() -> None:
    exchange = Control(Service()).exchange(Head("GET", "/_mock/status", {b"host": b"api.example"}))
    with pytest.raises(StopIteration) as stop:
        next(exchange)
    reply: Reply = stop.value.value
    assert reply.status == 200
    assert json.loads(reply.body)["status"] == "ok"


# The process


@pytest.fixture(scope="module")
def guarded() -> Any:
    """A mock that listens on every address of this machine."""
    flags = ("--quiet", "--host=0.0.0.0", "--allow-control-from=198.51.100.0/24", "--allowed-host=mock")
    with serving(
        *flags, environment={"OPENPIPE_MOCK_CONTROL_TOKEN": TOKEN, "FORWARDED_ALLOW_IPS": "*"}
    ) as live:
        yield live


def status(live: Live, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(f"{live.control_url}/status", headers=named).status_code


@pytest.mark.parametrize("header", [b"via", b"cf-connecting-ip", b"true-client-ip"])
@pytest.mark.parametrize("more", [{}, {b"x-forwarded-for": b"127.0.0.1"}])
def test_behind_a_proxy_that_tells_no_address_the_peer_is_unknown(
    header: bytes, more: dict[bytes, bytes]
) -> None:
    sent = {header: b"127.0.0.1", b"host": b"localhost", **more}
    with pytest.raises(Forbidden, match=f"the header `{header.decode()}` is that of a proxy"):
        guard().admit(Head("GET", "/_mock/status", sent, peer=HERE))
    guard().admit(Head("GET", "/_mock/health", sent, peer=HERE))
    guard(TOKEN).admit(Head("GET", "/_mock/status", {**sent, b"x-mock-token": TOKEN.encode()}, peer=HERE))


@pytest.mark.slow
def test_a_running_mock_guards_its_control_api(guarded: Live) -> None:
    assert status(guarded) == 200
    assert status(guarded, x_forwarded_for=ELSEWHERE) == 403
    assert status(guarded, x_forwarded_for="198.51.100.7") == 200
    assert status(guarded, x_forwarded_for=ELSEWHERE, x_mock_token=TOKEN) == 200
    assert status(guarded, host="mock:6736") == 200
    assert status(guarded, host="evil.example") == 403
    assert guarded.log.read_text() == ""


def outer_address() -> str:
    """An address of this machine that others see; loopback where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # nothing is sent: it only asks for the route
        except OSError:
            return HERE
        return str(sock.getsockname()[0])


@pytest.mark.slow
def test_who_comes_by_another_address_than_loopback_is_another_machine(guarded: Live) -> None:
    url, outside = f"http://{outer_address()}:{guarded.address[1]}", outer_address() != HERE
    with httpx.Client(transport=httpx.HTTPTransport(local_address=outer_address())) as client:
        refused = client.get(f"{url}/_mock/status", headers={"X-Forwarded-For": HERE})
        assert refused.status_code == (403 if outside else 200)
        assert (f"{outer_address()} is another" in refused.text) == outside
        assert client.get(f"{url}/_mock/health").status_code == 200
        assert client.get(f"{url}/_mock/status", headers={"X-Mock-Token": TOKEN}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag", ["--control-token=", "--allow-control-from=10.0.0.1/8", "--allowed-host=http://mock"]
)
def test_a_flag_that_can_not_be_is_a_usage_error_that_names_it(flag: str) -> None:
    done = finished([here("openpipe-mock"), "serve", "--port=0", flag])
    assert done.returncode == 2
    assert flag.partition("=")[0] in done.stderr


# The documentation


def test_the_documentation_names_every_flag_and_quotes_the_refusal() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    for flag in ("--control-token", "--allow-control-from", "--allowed-host"):
        assert f"`{flag} " in text
        assert f"`{variable(flag)}`" in text
    [quoted] = [block.code for block in blocks(text) if block.language == "json"]
    told = {"message": refusal("172.18.0.1"), "code": "FORBIDDEN"}
    assert json.loads(quoted) == {**told, "error": told}
    for name in (*SAFE, "content-security-policy"):
        assert f"`{name}" in text.lower()
