"""Mask secrets in all that is written.

A secret is one of the known keys (the request's own, those of the config and the environment), in whatever
spelling, or is told by its name (`api_key`, `Authorization`) or its shape (`sk-…`, `opk_…`, `Bearer …`).
`may_hide` tells quickly whether a text can hold one at all.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from html import escape
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from urllib.parse import parse_qsl, quote_from_bytes, unquote_plus, unquote_to_bytes

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventtexts import changed_data, split_events
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import lacking

MASK = "***"
MASKED = MASK.encode()
_SECRETS = (
    *("apikey", "accesskey", "privatekey", "secretkey", "secret", "password", "passphrase", "cookie"),
    *("authorization", "accesstoken", "authtoken", "bearertoken", "refreshtoken", "sessiontoken"),
)
"""Endings of names whose values are never stored. `token` isn't one: log probabilities are full of it."""
_MEMBERS = (
    *("authentication", "credential", "passwd", "csrf", "csrftoken", "xsrftoken"),
    *("xauth", "xjwt", "xsessionid", "xsignature"),
)
"""The same for members, headers and arguments; prose uses these words otherwise."""
_WHOLE = frozenset(("auth", "jwt", "pwd"))
"""Names of members, headers and arguments that are secrets if nothing stands before them."""

_KEYS = ("token", "key", "tokens", "keys")
"""Endings of the names of secret headers: `x-security-token`, `x-openai-key`."""
_PUBLIC = "idempotency-key"
"""The one header with such an ending that is no secret: it marks requests that are sent again."""
_SCHEMAS = ("parameters", "schema", "input_schema")
"""Members that hold a schema, where a member called `password` is a description and no secret."""
_MOST_WITHIN = 5
"""How many levels of JSON inside strings of JSON are taken apart."""

_QUOTE, _SLASH, _BACKSLASH = b'"/\\'
SHORTEST_TOKEN = 6
"""Bytes. A shorter token may be any word, so it is searched for in headers alone."""

_NAMES = "|".join("[-_ ]*".join(name) for name in _SECRETS)
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|opk)[-_][\w-]{6,}|(?P<scheme>(?i:bearer)\s+)(?!invalid)[\w.~+/=-]{8,}"
    r"|AIza[\w-]{30,}|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|(?<![\w.-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"
    r"|(?<![\w+.-])(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"'<>]{0,100}:)[^\s/@\"'<>]{1,200}(?=@))"
)
"""Texts that look like a key. `Bearer` needs eight characters after it, since prose uses the word too; those
that begin with `invalid` are meant to be refused.

Each form begins where no character stands that it may have inside, so that a text is walked once.
"""
_VALUE = r"""\[[^\]]*+|"(?:[^"\\]++|\\.)*+|'(?:[^'\\]++|\\.)*+|\\+["'][^"'\\]*+|[^\r\n,;&}"']++"""
_PAIR = re.compile(rf"""(?is)(?P<name>(?:{_NAMES})[s_ -]*+\\*["']?\s*+[:=]\s*+)(?:{_VALUE})""")
"""A name and its value in a text that is no JSON."""
_WORD = _VALUE.replace(r"""[^\r\n,;&}"']++""", r"""[^\s,;&}"']++""")
_PROSE = re.compile(rf"""(?is)(?P<name>(?:{_NAMES})[s_ -]*+(?:\\*["']\s*+[:=]\s*+|=))(?:{_WORD})""")
"""The same in prose, which may mention a password without one: `"password": "x"`, `password=x`."""
_SECRET_NAME = re.compile(f"(?i){_NAMES}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(
    rf"""(?is)(?P<name>(?:{_NAMES})[s_ -]*+["']?\s*+[:=]\s*+)(?P<quote>["'])(?P<value>[^"']+)(?P=quote)"""
)
"""A name and its value in a program: `password = "x"`."""
_FLAG = re.compile(
    rf"""(?i)(?P<name>(?<![\w-])(?:--?[\w-]*?(?:token|key|{_NAMES})s?|[a-z_]\w*?(?:token|key|{_NAMES})s?(?==))(?:=|\s+))"""
    r"""(?P<value>"[^"]+"|'[^']+'|[^\s"'-][^\s"']*)"""
)
"""A flag or a variable and its value on a command line: `--token x`, `API_KEY=x`."""
_LOGIN = re.compile(r"""(?P<name>://|(?<!\S)(?:-u|--user)[ =])[^\s/@"':]*:[^\s/@"']*(?P<end>@|(?=\s|$))""")
"""A user and a password: `https://user:password@host/`, `-u user:password`."""
_HEADER = re.compile(rf"(?i)(?P<name>(?:[\w-]*(?:token|key|{_NAMES})s?)\s*:\s+)(?P<value>\S+)$")
"""A header in one word: `x-api-key: x`."""
_SCHEMES = ("bearer", "basic")
_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_ARGUMENT = re.compile(r"(?P<name>[?&][^=&#]*)=[^&#]*")
_PLAIN = str.maketrans(ascii_uppercase, ascii_lowercase, "-_ ")
_FOLD = bytes(range(256)).lower()
_no_shapes = lacking(
    *("sk-", "sk_", "opk-", "opk_", "AIza", "ghp_", "gho_", "ghs_", "ghr_", "ghu_", "github_pat_", "eyJ"),
    *("://", ":\\/\\/"),
)
_no_names = lacking(*_SECRETS, *_MEMBERS, *_WHOLE, "bearer", r"\u00")


def is_secret(name: str) -> bool:
    """Whether a name, in singular or plural, is that of a secret; case, `-`, `_` and spaces don't count."""
    return _is_secret(name) if len(name) <= _SHORT else _is_secret.__wrapped__(name)


_SHORT = 100
"""Characters of names and texts that are remembered, since they come again and again."""
_MOST_REMEMBERED = 1024


@lru_cache(_MOST_REMEMBERED)
def _is_secret(name: str) -> bool:
    plain = name.translate(_PLAIN).rstrip("s")
    return plain in _WHOLE or plain.endswith(_SECRETS + _MEMBERS)


def secret_members(query: bytes) -> tuple[str, ...]:
    """The names of a query's arguments that are secrets and have a value."""
    pairs = parse_qsl(query.decode("latin-1"))
    return tuple(name for name, value in pairs if value and (is_secret(name) or name.lower() in _KEYS[:2]))


def secret_headers(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Those header names (in lower case) that are secrets; an ending `token` or `key` is enough here."""
    return tuple(name for name in names if _is_secret_header(name.decode("latin-1")))


def _is_secret_header(name: str) -> bool:
    return is_secret(name) or (name.endswith(_KEYS) and not name.endswith(_PUBLIC))


def masked(payload: Any, name: str = "", clean: Callable[[str], str] = str, *, schema: bool = False) -> Any:
    """A copy of a JSON value in which secrets are replaced by the mask.

    A member with a secret's name hides all texts and numbers in it, at any depth. In a schema, such as a
    tool's `parameters`, it hides only its own text, since a schema may describe a member called `password`.
    `name` is the member that holds the payload, `schema` says whether that is part of a schema. `clean` is
    applied to all other strings and to names.
    """
    if isinstance(payload, list):
        return [masked(item, name, clean, schema=schema) for item in payload]
    if isinstance(payload, str):
        return hidden(name, clean(payload))
    secret = bool(name) and not schema and is_secret(name)
    if isinstance(payload, dict):
        return {
            clean(key): masked(
                member, name if secret else key, clean, schema=schema or (key in _SCHEMAS and not secret)
            )
            for key, member in payload.items()
        }
    is_number = isinstance(payload, int | float) and not isinstance(payload, bool)
    return MASK if is_number and secret else payload


def hidden(name: str, text: str | None) -> str | None:
    """The mask if a text isn't empty and has a secret's name, else the text itself."""
    return MASK if text and is_secret(name) else text


def may_hide(text: bytes, *keys: bytes) -> bool:
    """Whether a text can hold a secret at all, told in about a microsecond. False is certain, True isn't."""
    if any(may_hold(key, text) for key in keys):
        return True
    folded = text.translate(_FOLD, b"-_ ")
    return not (_no_shapes(text.decode("utf-8", "replace")) and _no_names(folded.decode("utf-8", "replace")))


def may_hold(key: bytes, text: bytes) -> bool:
    """Whether a text can hold this key, if that is long enough to be searched for."""
    if len(key) < SHORTEST_TOKEN:
        return False
    return any(each in text for each in _as_bytes(key)) or _may_be_escaped(key, text)


def spellings(key: bytes) -> Iterator[str]:
    """A key as texts may write it: plain, escaped as in JSON and HTML, percent-encoded, and in base64.

    Base64 writes it in three ways, by its place among three bytes, in one of two alphabets; what stands
    before and behind it changes only the characters that it shares with that, which are left out.
    """
    for encoding in ("utf-8", "latin-1"):
        plain = key.decode(encoding, "surrogateescape")
        if plain.isascii() or not _SURROGATE.search(plain):
            yield from (plain, json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])
            yield escape(plain)
    percent = quote_from_bytes(key, safe="")
    yield from (percent, _PERCENT.sub(lambda found: found[0].lower(), percent))
    for before in range(3):
        coded = b64encode(bytes(before) + key).decode()
        found = coded[-(-before * 8 // 6) : (before + len(key)) * 8 // 6]
        yield from (found, found.translate(_URL_SAFE))


_SURROGATE = re.compile("[\ud800-\udfff]")
_PERCENT = re.compile("%..")
_URL_SAFE = str.maketrans("+/", "-_")


@lru_cache(maxsize=4096)
def _as_texts(key: bytes) -> tuple[str, ...]:
    """The spellings of a key; none of one that is too short to be searched for."""
    return tuple(dict.fromkeys(spellings(key))) if len(key) >= SHORTEST_TOKEN else ()


@lru_cache(maxsize=4096)
def _as_bytes(key: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys((key, *(each.encode("utf-8", "replace") for each in _as_texts(key)))))


def _may_be_escaped(key: bytes, text: bytes) -> bool:
    """Whether JSON may write the key with escapes, so that its bytes don't show."""
    if b"\\u00" in text or (_SLASH in key and b"\\/" in text):
        return True
    return _QUOTE in key or _BACKSLASH in key or not key.isascii()


def held(text: bytes, *keys: bytes) -> tuple[bytes, ...]:
    """Those of the keys that a text may hold."""
    return tuple(key for key in dict.fromkeys(keys) if may_hold(key, text))


def environment_keys(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The keys in variables of the environment that are named so.

    A short value, or one that is a plain word or number, is more likely a setting, but in an `…_API_KEY`.
    """
    return tuple(
        dict.fromkeys(
            value
            for name, value in environment.items()
            if is_secret_variable(name)
            and (name.endswith("_API_KEY") or (len(value) >= 8 and not _SETTING.fullmatch(value)))
        )
    )


def without_secrets(text: str, *keys: bytes) -> str:
    """A text for people without these keys, those of the environment, and what looks like a key."""
    return Mask(*keys, *map(os.fsencode, environment_keys())).text(text)


def key_mask(keys: Iterable[str]) -> Callable[[str], str]:
    """A function that masks these keys, and whatever else looks like one, in a text."""
    mask = Mask(*(key.encode("latin-1", "replace") for key in keys))

    def masked_text(text: str) -> str:
        # Of a file with 50,000 texts few have a key, and to look for its shape takes 40 µs.
        plain = _no_shapes(text) and "bearer" not in text.lower()
        return mask.known(text) if plain else mask.text(text)

    return masked_text


_SETTING = re.compile("[A-Za-z]{8,15}|[0-9]{8,15}")


class Mask:
    """Masks the parts of one request and its answer.

    `keys`: those that are known, found in every spelling; one that is too short to be searched for counts in
    headers alone.
    """

    def __init__(self, *keys: bytes) -> None:
        self.keys = tuple(filter(None, keys))
        texts = {each for key in self.keys for each in _as_texts(key)}
        self.texts = sorted(texts, key=lambda each: (-len(each), each))
        found = {each for key in self.keys if _as_texts(key) for each in _as_bytes(key)}
        self.bytes = sorted(found, key=lambda each: (-len(each), each))

    def known(self, text: str) -> str:
        """Mask the known keys in a text."""
        for each in self.texts:
            text = text.replace(each, MASK)
        return text

    def text(self, text: str) -> str:
        """Mask the known keys and whatever looks like a key in a text."""
        return _KEY.sub(rf"\g<scheme>\g<url>{MASK}", self.known(text))

    def string(self, text: str, within: int = _MOST_WITHIN) -> str:
        """Mask a string of a JSON value; a string that is JSON itself (a tool's arguments) is taken apart."""
        if len(text) < SHORTEST_TOKEN:
            return text
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
        """Mask a string of an error, as `string` and as `sentence` do, since it may quote the request."""
        return self.sentence(self.string(text))

    def content(
        self, content: bytes, clean: Callable[[str], str] | None = None, mask: Callable[..., Any] = masked
    ) -> bytes:
        """Mask a body, by its members if it is JSON, else as a text; without secrets it stays as it is."""
        try:
            value = parse(content)
        except ParseError:
            return self.final(self.loose(content))
        found = mask(value, clean=remembering(clean or self.string))
        return self.final(content if found == value else orjson.dumps(found))

    def loose(self, content: bytes) -> bytes:
        """Mask a text that isn't complete JSON, also the values after secret names (`password: x`)."""
        text = content.decode("utf-8", "surrogateescape")
        text = self.text(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))
        return _PAIR.sub(rf"\g<name>{MASK}", text).encode("utf-8", "surrogateescape")

    def final(self, content: bytes) -> bytes:
        """Replace the known keys wherever they are left."""
        for each in self.bytes:
            content = content.replace(each, MASKED)
        return content

    def stream(self, stream: bytes, *, cut: bool = False) -> bytes:
        """Mask a stream of events. `cut`: its end is missing."""
        return b"".join(self.events(split_events(stream), cut=cut))

    def events(self, events: Sequence[bytes], *, cut: bool = False) -> list[bytes]:
        """Mask the events of a stream, also where several hold a secret together; one without stays."""
        whole = zip(events, changed_data(events, self._cut_string if cut else self.string), strict=True)
        return [
            self._event(event) if data is None else _DATA + self.content(data) + b"\n\n"
            for event, data in whole
        ]

    def _cut_string(self, text: str) -> str:
        """Mask a text whose end is missing: it may end with the beginning of a known key."""
        text = self.string(text)
        end = text[-_MOST_CUT:]
        for key in self.texts:
            for length in range(min(len(key), _MOST_CUT) - 1, 2, -1) if key[:3] in end else ():
                if end.endswith(key[:length]):
                    return f"{text[:-length]}{MASK}"
        return text

    def _event(self, event: bytes) -> bytes:
        """Mask an event by its lines."""
        return b"\n".join(map(self._line, event.split(b"\n")))

    def _line(self, line: bytes) -> bytes:
        if line.startswith(_DATA):
            return _DATA + self.content(line.removeprefix(_DATA))
        return self.final(self.loose(line))

    def path(self, path: str) -> str:
        """Mask a path with its query: arguments with a secret's name, and the token and keys anywhere."""
        path = _ARGUMENT.sub(_masked_argument, self.text(path))
        plain = unquote_plus(path)
        return path if self.text(plain) == plain else self.text(plain)

    def sentence(self, sentence: str) -> str:
        """Mask a sentence about a request; if it mentions a secret's name, all that it quotes is masked."""
        sentence = _prose(self.text(sentence))
        return _QUOTED.sub(f'"{MASK}"', sentence) if _SECRET_NAME.search(sentence) else sentence

    def header(self, value: bytes) -> bytes:
        """Mask the value of a header that isn't secret by its name; the value may be percent-encoded."""
        if any(key in value.split() for key in self.keys if not _as_texts(key)):
            return MASKED
        plain = unquote_to_bytes(value)
        return self.final(self.loose(plain if self.final(self.loose(plain)) != plain else value))


_DATA = b"data: "
_MOST_CUT = 1024
"""Characters at the end of a text that was cut in which the beginning of a key is looked for."""


def remembering(clean: Callable[[str], str]) -> Callable[[str], str]:
    """The function, which remembers short texts."""
    remembered = lru_cache(_MOST_REMEMBERED)(clean)
    return lambda text: remembered(text) if len(text) <= _SHORT else clean(text)


def is_secret_variable(name: str) -> bool:
    """Whether a name is that of an environment variable with a secret in it."""
    plain = name.translate(_PLAIN)
    if plain in ("pwd", "oldpwd"):  # folders
        return False
    return "token" in plain or "credential" in plain or plain.endswith(_KEYS) or is_secret(name)


def masked_words(
    words: Iterable[str], environment: Mapping[str, str], known: str, *keys: bytes
) -> tuple[str, ...]:
    """The words of a command line without secrets: values of flags and variables that are named so, logins
    in URLs, what looks like a key, the values of secret variables of the `environment`, and the `keys`, but
    for the one that is `known`.
    """
    values = {value for name, value in environment.items() if len(value) > 3 and is_secret_variable(name)}
    secrets = sorted(values - {known}, key=len, reverse=True)
    mask = Mask(*({*keys, *map(os.fsencode, secrets)} - {known.encode()}))
    masked: list[str] = []
    for word in map(mask.known, words):
        for secret in secrets:
            word = word.replace(secret, MASK)
        follows = bool(masked) and _NAMED_FLAG.fullmatch(masked[-1]) is not None and not word.startswith("-")
        masked.append(MASK if follows and word else _masked_word(word, masked[-1:]))
    return tuple(masked)


_NAMED_VALUE = re.compile(rf"(?is)(?P<name>(?:--?[\w-]*?|[a-z_]\w*?)(?:token|key|{_NAMES})s?=).+")
_NAMED_FLAG = re.compile(rf"(?i)--?[\w-]*?(?:token|key|{_NAMES})s?")


def _masked_word(word: str, before: list[str]) -> str:
    """A word of a command line without secrets; `before`: the word before it, if there is one."""
    if before in (["-u"], ["--user"]) and ":" in word:
        return MASK
    if found := _NAMED_VALUE.fullmatch(word):
        return f"{found['name']}{MASK}"
    word = _LOGIN.sub(rf"\g<name>{MASK}\g<end>", Mask().text(word))
    word = _HEADER.sub(rf"\g<name>{MASK}", word) if "\n" not in word else word
    word = _ARGUMENT.sub(_masked_argument, word) if "://" in word else word
    return _LITERAL.sub(_masked_literal, _FLAG.sub(rf"\g<name>{MASK}", word))


def _masked_literal(found: re.Match[str]) -> str:
    quote, value = found["quote"], found["value"].strip()
    return found[0] if value.lower() in _SCHEMES else f"{found['name']}{quote}{MASK}{quote}"


def _prose(text: str) -> str:
    """Mask the values of secrets that prose writes as JSON (`"name": "value"`) or as `name=value`."""
    return _PROSE.sub(rf"\g<name>{MASK}", text) if _SECRET_NAME.search(text) else text


def _masked_argument(found: re.Match[str]) -> str:
    return f"{found['name']}={MASK}" if is_secret(unquote_plus(found["name"][1:])) else found[0]
