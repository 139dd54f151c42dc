"""Keys that an object has twice."""

import pytest

from contract_tests.jsontext import repeated_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"a": 1, "a": 2}', "a"),
        ('{"a": [{"b": 1, "": 2, "": 2}]}', ""),
        (b'{"a": {"b": 1}, "c": {"b": 1}}', None),
        (b"[]", None),
        (b'{"a": 1, "a": 2', None),
        (b'{"a": "\xff", "a": 2}', None),
        (b"[" * 100_000, None),
        (b'{"a": 1, "a": "' + b"x" * 2**20 + b'"}', None),
    ],
)
def test_a_key_that_an_object_has_twice_is_found(text: bytes | str, key: str | None) -> None:
    assert repeated_key(text) == key
