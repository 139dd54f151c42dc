"""Secrets, and how they are kept out of what is stored: by name, by shape, and the key of the request itself.

A name tells a secret (`api_key`, `Authorization`), a shape does (`sk-…`, `opk_…`, `Bearer …`), and the bearer
token of a request is one wherever it stands. A quick look by `may_hide` tells whether there can be any.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, unquote_to_bytes

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import lacking

MASK = "***"
MASKED = MASK.encode()
_SECRETS = (
    *("apikey", "accesskey", "privatekey", "secretkey", "secret", "password", "passphrase", "cookie"),
    *("authorization", "accesstoken", "authtoken", "bearertoken", "refreshtoken", "sessiontoken"),
)
"""Endings of names whose strings are never stored. Not `token`: log probabilities are full of it."""

_KEYS = ("token", "key", "tokens", "keys")
"""Endings of headers' names that tell a secret: `x-security-token`, `x-openai-key`."""
_PUBLIC = "idempotency-key"
"""The one header of such a name that is none: it tells which requests are the same one, sent again."""
_SCHEMAS = ("parameters", "schema", "input_schema")
"""Members that describe values: what is named like a secret there is none."""
_MOST_WITHIN = 5
"""How deep JSON in texts in JSON is taken apart."""

_QUOTE, _SLASH, _BACKSLASH = b'"/\\'
SHORTEST_TOKEN = 6
"""Bytes: a shorter token is searched for in headers alone, as it may be any word."""

_NAMES = "|".join("[-_ ]*".join(name) for name in _SECRETS)
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|opk)[-_][\w-]{6,}|(?P<scheme>(?i:bearer)\s+)[\w.~+/=-]{8,})")
"""Texts that look like a key; after `Bearer` at least eight characters, since prose knows the word too."""
_VALUE = r"""\[[^\]]*+|"(?:[^"\\]++|\\.)*+|'(?:[^'\\]++|\\.)*+|\\+["'][^"'\\]*+|[^\r\n,;&}"']++"""
_PAIR = re.compile(rf"""(?is)(?P<name>(?:{_NAMES})[s_ -]*+\\*["']?\s*+[:=]\s*+)(?:{_VALUE})""")
"""A name and its value in a text that is no JSON."""
_WORD = _VALUE.replace(r"""[^\r\n,;&}"']++""", r"""[^\s,;&}"']++""")
_PROSE = re.compile(rf"""(?is)(?P<name>(?:{_NAMES})[s_ -]*+(?:\\*["']\s*+[:=]\s*+|=))(?:{_WORD})""")
"""The same in a text for people, who may well speak of a password: `"password": "x"`, `password=x`."""
_SECRET_NAME = re.compile(f"(?i){_NAMES}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_ARGUMENT = re.compile(r"(?P<name>[?&][^=&#]*)=[^&#]*")
_PLAIN = str.maketrans(ascii_uppercase, ascii_lowercase, "-_ ")
_FOLD = bytes(range(256)).lower()
_no_shapes = lacking("sk-", "sk_", "opk-", "opk_")
_no_names = lacking(*_SECRETS, "bearer", r"\u00")


def is_secret(name: str) -> bool:
    """Whether a name, its case and punctuation aside, is that of a secret or of several."""
    return name.translate(_PLAIN).rstrip("s").endswith(_SECRETS)


def secret_members(query: bytes) -> tuple[str, ...]:
    """The names in a query that name a secret and have a value; nobody keeps the values."""
    pairs = parse_qsl(query.decode("latin-1"))
    return tuple(name for name, value in pairs if value and (is_secret(name) or name.lower() in _KEYS[:2]))


def secret_headers(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Those among the names of headers that name a secret; in them `token` or `key` alone at the end does."""
    return tuple(name for name in names if _is_secret_header(name.decode("latin-1")))


def _is_secret_header(name: str) -> bool:
    return is_secret(name) or (name.endswith(_KEYS) and not name.endswith(_PUBLIC))


def masked(payload: Any, name: str = "", clean: Callable[[str], str] = str) -> Any:
    """A copy of a payload with a mask in place of each text and number that is named a secret, or below it.

    Only below what describes values, as a tool's `parameters` do, a secret's name hides no more than a text
    right under it: there may well be a member called `password`. `clean` is applied to all other strings and
    to names.
    """
    if isinstance(payload, dict):
        if name and is_secret(name):
            return {clean(key): masked(member, name, clean) for key, member in payload.items()}
        return {
            clean(key): _described(member, key, clean) if key in _SCHEMAS else masked(member, key, clean)
            for key, member in payload.items()
        }
    if isinstance(payload, list):
        return [masked(item, name, clean) for item in payload]
    if isinstance(payload, str):
        return hidden(name, clean(payload))
    is_number = isinstance(payload, int | float) and not isinstance(payload, bool)
    return MASK if is_number and name and is_secret(name) else payload


def _described(payload: Any, name: str, clean: Callable[[str], str]) -> Any:
    """The same for what describes values."""
    if isinstance(payload, dict):
        return {clean(key): _described(member, key, clean) for key, member in payload.items()}
    if isinstance(payload, list):
        return [_described(item, name, clean) for item in payload]
    return hidden(name, clean(payload)) if isinstance(payload, str) else payload


def hidden(name: str, text: str | None) -> str | None:
    return MASK if text and is_secret(name) else text


def may_hide(text: bytes, token: bytes) -> bool:
    """Whether a text can hold a secret at all, in a microsecond or so. A no is certain."""
    if len(token) >= SHORTEST_TOKEN and (token in text or _odd(token, text)):
        return True
    folded = text.translate(_FOLD, b"-_ ")
    return not (_no_shapes(text.decode("utf-8", "replace")) and _no_names(folded.decode("utf-8", "replace")))


def _odd(token: bytes, text: bytes) -> bool:
    """Whether JSON may write the token in other bytes than its own."""
    if _SLASH in token and b"\\/" in text:
        return True
    return _QUOTE in token or _BACKSLASH in token or not token.isascii()


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks what one request and its answer say; `token` is the bearer token, "" where there is none."""

    token: bytes

    @property
    def word(self) -> str:
        """The token as a text, "" where it is too short to be searched for."""
        return self.token.decode("latin-1") if len(self.token) >= SHORTEST_TOKEN else ""

    def text(self, text: str) -> str:
        """A text without the token and without what looks like a key."""
        if self.word:
            text = text.replace(self.word, MASK)
        return _KEY.sub(_masked_key, text)

    def string(self, text: str, within: int = _MOST_WITHIN) -> str:
        """A string of a JSON text; one that is JSON itself, as a tool's arguments are, is taken apart."""
        text = self.text(text)
        if within and text.lstrip()[:1] in ("{", "[", '"'):
            try:
                value = parse(text.encode("utf-8", "replace"))
            except ParseError:
                return _prose(text)
            found = masked(value, clean=partial(self.string, within=within - 1))
            return text if found == value else orjson.dumps(found).decode()
        return _prose(text)

    def told(self, text: str) -> str:
        """A string of an error: as `string`, and as a sentence, which may quote the request."""
        return self.sentence(self.string(text))

    def content(self, content: bytes, clean: Callable[[str], str] | None = None) -> bytes:
        """A body: masked by its members where it is JSON, else as a text. Without a secret it stays."""
        try:
            value = parse(content)
        except ParseError:
            return self.final(self.loose(content))
        found = masked(value, clean=clean or self.string)
        return self.final(content if found == value else orjson.dumps(found))

    def loose(self, content: bytes) -> bytes:
        """A text that is no JSON, or only the beginning of one: pairs of name and value are masked too."""
        text = content.decode("utf-8", "surrogateescape")
        text = self.text(_ESCAPED.sub(_unescaped, text))
        return _PAIR.sub(rf"\g<name>{MASK}", text).encode("utf-8", "surrogateescape")

    def final(self, content: bytes) -> bytes:
        """The last word: whatever form the content has, the token's bytes are not in it."""
        return content.replace(self.token, MASKED) if self.word else content

    def events(self, stream: bytes, *, spread: bool = False) -> bytes:
        """A stream of events, masked line by line.

        `spread`: the request held a secret. The answer may repeat it in pieces over several events, so
        none of its texts is kept.
        """
        blank = _said_nothing if spread else masked
        return self.final(b"\n".join(self.line(line, blank) for line in stream.split(b"\n")))

    def line(self, line: bytes, mask: Callable[..., Any]) -> bytes:
        """One line of a stream of events."""
        field, found, data = line.partition(b": ")
        if not found or field != b"data":
            return self.final(self.loose(line))
        try:
            value = parse(data)
        except ParseError:
            return self.final(self.loose(line))
        kept = mask(value, clean=self.string)
        return self.final(line if kept == value else b"data: " + orjson.dumps(kept))

    def path(self, path: str) -> str:
        """A path with its query: arguments named like a secret, and whatever else is secret there."""
        path = _ARGUMENT.sub(_masked_argument, self.text(path))
        plain = unquote_plus(path)
        return path if self.text(plain) == plain else self.text(plain)

    def sentence(self, sentence: str) -> str:
        """What we said of a request: where it speaks of a secret's name, nothing that it quotes is kept."""
        sentence = _prose(self.text(sentence))
        return _QUOTED.sub(f'"{MASK}"', sentence) if _SECRET_NAME.search(sentence) else sentence

    def header(self, value: bytes) -> bytes:
        """The value of a header whose name tells nothing. As an address it may have its letters as `%41`."""
        if not self.word and self.token and self.token in value.split():
            return MASKED
        plain = unquote_to_bytes(value)
        return self.final(self.loose(plain if self.final(self.loose(plain)) != plain else value))


_TEXTS = frozenset(("content", "refusal", "arguments", "text"))
"""Members of a stream's events that hold pieces of the answer."""


def _said_nothing(payload: Any, name: str = "", clean: Callable[[str], str] = str) -> Any:
    """The event of a stream without its piece of the answer."""
    if isinstance(payload, dict):
        return {key: _said_nothing(member, key, clean) for key, member in payload.items()}
    if isinstance(payload, list):
        return [_said_nothing(item, name, clean) for item in payload]
    return MASK if payload and name in _TEXTS else masked(payload, name, clean)


def _prose(text: str) -> str:
    """A text without the values of secrets that stand in it as JSON does or as `name=value`."""
    return _PROSE.sub(rf"\g<name>{MASK}", text) if _SECRET_NAME.search(text) else text


def _masked_key(found: re.Match[str]) -> str:
    return f"{found['scheme'] or ''}{MASK}"


def _masked_argument(found: re.Match[str]) -> str:
    return f"{found['name']}={MASK}" if is_secret(unquote_plus(found["name"][1:])) else found[0]


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))
