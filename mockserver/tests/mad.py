"""Mad requests: what no sound client sends, drawn from a seed. Request n of a seed is always the same.

One half breaks HTTP itself, the other is HTTP around mad paths, headers and bodies. None of them asks for an
error of the server's own, so that a status from 500 on is a defect, whatever was sent.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Json = Any
Maker = Callable[[Random], "Mad"]

JUDGE, CHAT = "/api/v1/criteria/judge", "/api/v1/chat/completions"
SESSIONS = 30
"""How many names of sessions occur: each keeps a journal of its own."""


@dataclass(frozen=True, slots=True)
class Mad:
    """One connection's worth: pieces to send one after the other, with a pause after each, in seconds.

    `answers`: how many answers a server that understands all of it may give. `leaves`: the client hangs up
    without waiting for any. `sure`: it is HTTP, so that an answer has to come.
    """

    name: str
    pieces: tuple[bytes, ...]
    answers: int = 1
    leaves: bool = False
    pause: float = 0.0
    sure: bool = False


def requests(seed: int, count: int) -> Iterator[Mad]:
    """So many mad requests."""
    return (request(seed, number) for number in range(count))


def request(seed: int, number: int) -> Mad:
    """Request `number` of a seed."""
    random = Random(f"{seed}/{number}")
    return random.choice(MAKERS)(random)


# HTTP that is none.


def noise(random: Random, most: int = 200) -> bytes:
    return random.randbytes(random.randrange(1, most))


def word(random: Random) -> bytes:
    """A text such as nobody expects where it stands."""
    return random.choice(WORDS) if random.random() < 0.8 else noise(random, 40)


WORDS = (
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"../../etc/passwd",
    b"%00",
    b"%2e%2e%2f",
    b"%",
    b"%zz",
    b"'\"><script>alert(1)</script>",
    b"${jndi:ldap://127.0.0.1/a}",
    b"{{7*7}}",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"a" * 5000,
    "😀\u202e\u0000".encode(),
    b"\r",
    b"\x1b[31m",
    b"file:///etc/passwd",
    b"http://127.0.0.1:1/",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"\\ud800",
)
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT", b"PRI")
VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"HTTP/1.1 ",
    b"http/1.1",
    b"",
    b"ICY",
)


def bad_line(random: Random) -> Mad:
    method = random.choice((*METHODS, b"get", b"G\x00T", b"", b"M" * 3000, word(random)))
    version, space = random.choice((*VERSIONS, word(random))), random.choice((b" ", b" ", b"  ", b"\t", b""))
    end = random.choice((b"\r\n", b"\n", b"\r", b"\r\n\r\n"))
    return Mad(
        "a bad request line", (method + space + path(random) + space + version + end + HEAD + b"\r\n",)
    )


def raw_bytes(random: Random) -> Mad:
    return Mad(
        "raw bytes",
        (
            random.choice(
                (noise(random, 4000), TLS, b"\r\n" * 500, b"\x00" * 3000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            ),
        ),
    )


TLS = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
HEAD = b"Host: localhost\r\nAuthorization: Bearer op-mad\r\nContent-Type: application/json\r\n"


def header_flood(random: Random) -> Mad:
    lines = [
        b"x-%d: %s\r\n" % (number, b"v" * random.randrange(60)) for number in range(random.choice((100, 700)))
    ]
    return Mad("a flood of headers", (post(JUDGE, VALID, b"".join(lines)),))


def long_header(random: Random) -> Mad:
    size = random.choice((10_000, 70_000, 300_000))
    line = random.choice((b"x-long: " + b"v" * size, b"n" * size + b": v", b"op-tags: " + b"[" * size))
    return Mad("a header without end", (post(JUDGE, VALID, line + b"\r\n"),))


def bad_header(random: Random) -> Mad:
    line = random.choice(
        (
            b"no colon",
            b": no name",
            b" folded: x",
            b"\tfolded",
            b"na me: x",
            b"n\x00l: x",
            b"x: \x00",
            b"x: a\rb",
            b"\xff: \xff",
        )
    )
    return Mad("a bad header", (post(JUDGE, VALID, line + b"\r\n"),))


def wrong_length(random: Random) -> Mad:
    length = random.choice(
        (
            b"-1",
            b"+5",
            b"0x10",
            b"1e3",
            b"",
            b" ",
            b"5, 5",
            b"99999999999999999999999",
            b"\xb2",
            b"1 2",
            b"00000000000007",
            b"3",
        )
    )
    head = b"POST " + JUDGE.encode() + b" HTTP/1.1\r\n" + HEAD + b"Content-Length: " + length + b"\r\n"
    twice = random.choice((b"", b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"))
    return Mad("a wrong length", (head + twice + b"\r\n" + VALID,), answers=3, leaves=random.random() < 0.5)


def chunks(random: Random) -> Mad:
    head = b"POST " + JUDGE.encode() + b" HTTP/1.1\r\n" + HEAD
    coding = random.choice(
        (
            b"chunked",
            b"chunked",
            b"gzip, chunked",
            b"chunked, chunked",
            b"identity",
            b"xchunked",
            word(random),
        )
    )
    body = random.choice(
        (
            b"%x\r\n" % len(VALID) + VALID + b"\r\n0\r\n\r\n",
            b"zz\r\nxx\r\n0\r\n\r\n",
            b"ffffffffffffffffffff\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello world\r\n0\r\n\r\n",
            b"1;ext=" + b"x" * 5000 + b"\r\n{\r\n0\r\n\r\n",
            b"1\r\n{\r\n0\r\nTrailer: x\r\nHost: evil\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % byte for byte in VALID) + b"0\r\n\r\n",
            b"0\r\n\r\n" * 3,
            b"",
            noise(random),
        )
    )
    return Mad(
        "nonsense in chunks",
        (head + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + body,),
        answers=3,
        leaves=random.random() < 0.5,
    )


def half(random: Random) -> Mad:
    whole = valid(random)
    return Mad("half a request", (whole[: random.randrange(1, len(whole))],), leaves=True)


def slow(random: Random) -> Mad:
    whole = valid(random)
    step = max(1, len(whole) // random.randrange(3, 12))
    parts = tuple(whole[start : start + step] for start in range(0, len(whole), step))
    return Mad("a slow sender", parts, pause=0.003, sure=True)


def pipelined(random: Random) -> Mad:
    number = random.randrange(2, 9)
    wholes = [valid(random) for _ in range(number)]
    if random.random() < 0.3:
        wholes.insert(random.randrange(number), noise(random))
    return Mad("many requests at once", (b"".join(wholes),), answers=number, leaves=random.random() < 0.2)


def expecting(random: Random) -> Mad:
    expectation = random.choice((b"100-continue", b"100-Continue, x", b"200-ok", word(random)))
    head = (
        b"POST " + JUDGE.encode() + b" HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\nExpect: " % len(VALID)
    )
    return Mad("an expectation", (head + expectation + b"\r\n\r\n", VALID), answers=2, pause=0.002)


def upgrading(random: Random) -> Mad:
    line = random.choice((b"websocket", b"h2c", b"TLS/1.0", word(random)))
    extra = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "
        + line
        + b"\r\nHTTP2-Settings: AAMAAABk\r\nSec-WebSocket-Key: x\r\n"
    )
    return Mad("an upgrade", (get(random.choice(("/", JUDGE, "/_mock/health")).encode(), extra),))


def silent(random: Random) -> Mad:
    return Mad("a connection without a word", (b"",), answers=0, leaves=True)


# HTTP, around madness.


def post(
    path: str | bytes, body: bytes, extra: bytes = b"", method: bytes = b"POST", key: bytes = HEAD
) -> bytes:
    path = path.encode() if isinstance(path, str) else path
    return b"%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (method, path, key, extra, len(body), body)


def get(path: bytes, extra: bytes = b"") -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path, HEAD, extra)


VALID = json.dumps(
    {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}
).encode()


def valid(random: Random) -> bytes:
    """A request that is right."""
    chat = json.dumps(
        {"model": "openpipe:m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
    ).encode()
    return random.choice(
        (post(JUDGE, VALID), post(CHAT, chat), get(b"/_mock/health"), get(b"/api/v1/models"))
    )


def path(random: Random) -> bytes:
    """A path, as likely mad as near to one that is served."""
    known = random.choice(PATHS).encode()
    way = random.randrange(6)
    if way == 0:
        return known
    if way == 1:
        return b"/" + word(random)
    if way == 2:
        return (
            known
            + b"?"
            + b"&".join(word(random) + b"=" + word(random) for _ in range(random.choice((1, 3, 200))))
        )
    if way == 3:
        return b"http://" + word(random) + known
    if way == 4:
        return known.replace(b"/", random.choice((b"//", b"/./", b"%2f", b"\\", b"/%00")))
    return b"/_mock/sessions/" + word(random) + known


PATHS = (
    *(
        "/",
        "*",
        "/_mock",
        "/_mock/",
        "/favicon.ico",
        JUDGE,
        CHAT,
        "/api/v1/models",
        "/api/v1/report",
        "/api/v1/check-cache",
    ),
    *(
        "/_mock/health",
        "/_mock/status",
        "/_mock/requests",
        "/_mock/sessions",
        "/_mock/criteria",
        "/_mock/openapi.yaml",
    ),
    *("/_mock/requests/default-1", "/_mock/sessions/mad-1/api/v1/criteria/judge", "/api/v1/logs/update-tags"),
)


def mad_path(random: Random) -> Mad:
    body = value(random)
    method = random.choice(METHODS)
    return Mad(
        "a mad path",
        (post(clean(path(random)), body, method=method),),
        answers=2,
        leaves=method in (b"CONNECT", b"PRI"),
    )


def clean(text: bytes, to: bytes = b"_") -> bytes:
    """Without what would end a request line or a header."""
    for end in (b"\r", b"\n", b"\x00", b" "):
        text = text.replace(end, to)
    return text


def mad_headers(random: Random) -> Mad:
    """Options of the API, of the mock and of HTTP with values that make no sense."""
    names = random.sample(HEADERS, random.randrange(1, 6))
    lines = b"".join(name + b": " + clean(header(random), b" ") + b"\r\n" for name in names)
    body = random.choice((CHAT, JUDGE))
    return Mad("mad headers", (post(body, bodies(random), lines),), sure=True)


HEADERS = (
    *(
        b"op-criteria",
        b"op-tags",
        b"op-cache",
        b"op-log-request",
        b"x-mock-score",
        b"x-mock-session",
        b"x-mock-delay-ms",
    ),
    *(
        b"x-mock-token",
        b"Origin",
        b"Content-Encoding",
        b"Content-Type",
        b"Authorization",
        b"Accept",
        b"Cookie",
        b"Forwarded",
    ),
    *(
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"Host",
        b"x-mock-fault",
        b"Connection",
        b"Range",
        b"If-None-Match",
        b"TE",
    ),
)


def header(random: Random) -> bytes:
    """A header's value; delays are short and faults answer, so that the next request gets its turn."""
    way = random.randrange(5)
    if way == 0:
        return word(random)
    if way == 1:
        return json.dumps(wild(random, 3), separators=(",", ":")).encode()[:20_000]
    if way == 2:
        return random.choice((b"[", b"{", b'{"a":')) * random.choice((10, 2000))
    if way == 3:
        return random.choice(
            (
                b"helpful",
                b"readWrite",
                b"true",
                b'{"prompt_id":"x"}',
                b'["helpful@v1"]',
                b"malformed",
                b"truncated",
                b"empty",
            )
        )
    return b",".join(word(random)[:50] for _ in range(200))


def mad_body(random: Random) -> Mad:
    target = random.choice(
        (
            JUDGE,
            CHAT,
            "/api/v1/report",
            "/api/v1/report-anthropic",
            "/api/v1/check-cache",
            "/api/v1/logs/update-tags",
            "/api/v1/logs/update-metadata",
        )
    )
    session = random.choice(("", "", f"/_mock/sessions/mad-{random.randrange(SESSIONS)}"))
    return Mad("a mad body", (post(session + target, bodies(random)),), sure=True)


def bodies(random: Random) -> bytes:
    """A body: bytes, JSON that makes no sense, or a sensible one with something wrong inside."""
    way = random.randrange(8)
    if way == 0:
        return noise(random, 500)
    if way == 1:
        return value(random)
    if way == 2:
        return random.choice((b"[", b'{"a":', b'{"messages":[', b"[[{}],")) * random.choice((50, 300, 30_000))
    if way == 3:
        return colliding(random.choice((100, 3000)))
    if way == 4:
        return random.choice(ODD_JSON)
    whole = json.dumps(spoilt(random, random.choice(SENSIBLE)), allow_nan=True).encode()
    return whole if way < 7 else whole[: random.randrange(len(whole))] + noise(random, 5)


ODD_JSON = (
    *(
        b"",
        b" ",
        b"null",
        b"true",
        b"0",
        b'"x"',
        b"[]",
        b"{}",
        b"NaN",
        b"-Infinity",
        b"-",
        b"1e400",
        b"-1e-400",
        b"\xef\xbb\xbf{}",
    ),
    *(
        b'"\\ud800"',
        b'{"criterion_id":"\\udfff","output":{"role":"assistant"}}',
        b"1" * 5000,
        b'{"a":1,"a":2}',
        b"\xff\xfe{\x00}\x00",
    ),
    *(
        b'{"criterion_id":' + b"9" * 4000 + b"}",
        b'{"model":"openpipe:m","messages":[{"role":"user","content":"\\u0000"}]}',
    ),
)
SENSIBLE: tuple[Json, ...] = (
    json.loads(VALID),
    {
        "criterion_id": "helpful@v2",
        "input": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        "output": {"role": "assistant", "content": None},
    },
    {
        "model": "openpipe:m",
        "messages": [{"role": "user", "content": "Hi"}],
        "n": 3,
        "max_tokens": 5,
        "temperature": 0.5,
        "stream": True,
    },
    {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "x",
                "schema": {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/a"}},
                    "$defs": {"a": {"type": ["integer", "null"], "minimum": 3}},
                },
            },
        },
    },
    {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "parameters": {
                        "type": "object",
                        "properties": {"a": {"pattern": "^a+$"}},
                        "required": ["a"],
                    },
                },
            }
        ],
        "tool_choice": "required",
    },
    {
        "requestedAt": 1,
        "receivedAt": 2,
        "reqPayload": {"model": "x", "messages": []},
        "respPayload": {},
        "statusCode": 200,
        "tags": {"a": "b"},
    },
    {"filters": [{"field": "model", "equals": "x"}], "tags": {"a": "b"}, "metadata": {"a": "b"}},
)


def colliding(count: int) -> bytes:
    """An object whose names collide in simple hashes: "Aa" and "BB" do in the widely known one."""
    names = ("".join("Aa" if number >> bit & 1 else "BB" for bit in range(14)) for number in range(count))
    members = ",".join(f'"{name}":{number}' for number, name in enumerate(names))
    return f'{{"criterion_id":"helpful","output":{{"role":"assistant"}},"input":{{{members}}}}}'.encode()


def spoilt(random: Random, value: Json) -> Json:
    """A copy with another value, or another name, in one or two places."""
    if random.random() < 0.25:
        return wild(random, 2)
    if isinstance(value, dict) and value:
        name = random.choice(list(value))
        changed = {**value, name: spoilt(random, value[name])}
        if random.random() < 0.2:
            changed[wild_text(random)] = changed.pop(name)
        return changed
    if isinstance(value, list) and value:
        return [spoilt(random, item) for item in value] * random.choice((1, 1, 3))
    return wild(random, 2)


def wild(random: Random, depth: int) -> Json:
    """Any JSON value, and some that Python alone takes for JSON."""
    way = random.randrange(7 if depth else 5)
    if way == 5:
        return [wild(random, depth - 1) for _ in range(random.randrange(4))]
    if way == 6:
        return {wild_text(random): wild(random, depth - 1) for _ in range(random.randrange(4))}
    return wild_text(random) if way > 2 else random.choice(SCALARS)


SCALARS: tuple[Json, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**64, -(2**63), 10**30, 0.1, -0.0, 1e308, 5e-324, 64),
    *(float("nan"), float("inf"), 3.5, "", [], {}),
)


def wild_text(random: Random) -> str:
    if random.random() < 0.5:
        return random.choice(
            (
                "role",
                "content",
                "$ref",
                "__proto__",
                "constructor",
                "default",
                "mock-score-2",
                "\ud800",
                "a" * 2000,
                "http://127.0.0.1:1/x",
                "file:///etc/passwd",
                "(a+)+$",
            )
        )
    return word(random).decode("utf-8", "surrogateescape")


def value(random: Random) -> bytes:
    return json.dumps(wild(random, 4)).encode()


def mad_control(random: Random) -> Mad:
    """A call of the control API, in a session of its own: the correct clients need their right answers."""
    method, target, body = random.choice(CONTROLS)
    sent = json.dumps(spoilt(random, body)).encode() if random.random() < 0.8 else bodies(random)
    query = random.choice(
        (b"", b"?limit=5", b"?session=mad-2", b"?" + clean(word(random)) + b"=" + clean(word(random)))
    )
    named = f"/_mock/sessions/mad-{random.randrange(SESSIONS)}/_mock{target}".encode()
    if b"session" in query:
        query = b"?session=mad-2"
    return Mad("a mad call of the control API", (post(named + query, sent, method=method),), sure=True)


CONTROLS: tuple[tuple[bytes, str, Json], ...] = (
    (b"PUT", "/criteria/helpful", {"score": 0.5, "explanation": "x"}),
    (
        b"PUT",
        "/criteria/helpful@v3",
        {"rules": [{"when": {"output": {"matches": "a+"}}, "score": 1}], "otherwise": 0},
    ),
    (b"PUT", "/criteria/c", {"v1": {"uniform": [0, 1]}, "v2": {"sequence": [0, 1], "then": "last"}}),
    (b"DELETE", "/criteria/helpful", None),
    (b"POST", "/completions", [{"when": {"last_user": {"contains": "x"}}, "text": "y", "name": "z"}]),
    (b"POST", "/completions", {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}),
    (b"DELETE", "/completions", None),
    (
        b"POST",
        "/faults",
        {"when": {"endpoint": "judge", "model": "x"}, "first": 1, "status": 429, "retry_after": 1},
    ),
    (b"DELETE", "/faults", None),
    (b"PUT", "/limits", {"requests_per_minute": 5, "concurrent": 2}),
    (b"DELETE", "/limits", None),
    (
        b"POST",
        "/verify",
        {"when": {"endpoint": "chat", "header": {"x": {"matches": "(a|b)*"}}}, "at_least": 1},
    ),
    (b"POST", "/sessions", {"name": "mad-3"}),
    (b"POST", "/reset", None),
    (b"GET", "/requests", None),
    (b"DELETE", "/requests", None),
    (b"GET", "/sessions", None),
    (b"GET", "/status", None),
)
BROKEN_HTTP: tuple[Maker, ...] = (
    *(
        bad_line,
        raw_bytes,
        header_flood,
        long_header,
        bad_header,
        wrong_length,
        chunks,
        half,
        slow,
        pipelined,
    ),
    *(expecting, upgrading, silent),
)
MAKERS: tuple[Maker, ...] = (*BROKEN_HTTP, *((mad_path, mad_headers, mad_body, mad_control) * 3))
