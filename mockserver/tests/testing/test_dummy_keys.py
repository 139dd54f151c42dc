"""Keys replaced by a dummy and given back: by several mocks, in any order, beside whatever else sets them."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.testing.dummy_keys import DummyKeys

A, B = "OPENPIPE_TEST_KEY_A", "OPENPIPE_TEST_KEY_B"
NAMES = [(A,), (A, B), (B,), ()]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert os.environ.pop(A, None) is os.environ.pop(B, None) is None


def values() -> list[str | None]:
    return [os.environ.get(name) for name in (A, B)]


def change(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def start(*found: str | None) -> DummyKeys:
    for name, value in zip((A, B), found, strict=True):
        change(name, value)
    return DummyKeys("dummy")


real = st.sampled_from(["real", "other", "dummy", None])


@given(st.tuples(real, real), st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), max_size=6))
def test_they_come_back_in_whatever_order_mocks_end(
    found: tuple[str | None, str | None], mocks: list[tuple[tuple[str, ...], int]]
) -> None:
    keys = start(*found)
    held: list[object] = []
    for names, ending in mocks:
        held.append(object())
        keys.put(held[-1], names)
        for name in (A, B):
            assert os.environ.get(name) == ("dummy" if name in names else found[name == B])
        if ending < len(held):
            keys.give_back(held.pop(ending))
    while held:
        keys.give_back(held.pop(0))
    assert values() == list(found)
    assert keys.held == {}
    change(A, None)
    change(B, None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=8))
def test_what_a_user_sets_in_between_is_the_users(steps: list[tuple[bool, int]]) -> None:
    """Wherever he does it, and in whatever order mocks end: it shows when those that came later are gone."""
    keys = start("real", None)
    held: list[tuple[object, str]] = []
    users = "real"
    for number, (sets, ending) in enumerate(steps):
        held.append((object(), users))
        keys.put(held[-1][0], (A,))
        if sets:
            users = f"the user's {number}"
            os.environ[A] = users
            while held:
                keys.give_back(held.pop(ending % len(held))[0])
                assert os.environ[A] == users
    while held:
        keys.give_back(held.pop()[0])
    assert os.environ.pop(A) == users


def test_a_key_that_is_set_between_nested_mocks_stays() -> None:
    keys, outer, inner = start("real", None), object(), object()
    keys.put(outer, (A, B))
    os.environ[A] = "between"
    keys.put(inner, (A, B))
    assert values() == ["dummy", "dummy"]
    keys.give_back(inner)
    assert values() == ["between", "dummy"]
    keys.give_back(outer)
    assert values() == ["between", None]
    del os.environ[A]


def test_a_mock_that_wants_the_users_key_gets_the_one_that_is_set_in_between() -> None:
    keys, outer, inner = start("real", None), object(), object()
    keys.put(outer, (A, B))
    os.environ[A] = "between"
    keys.put(inner, ())
    assert values() == ["between", None]
    keys.give_back(inner)
    assert values() == ["between", "dummy"]
    keys.give_back(outer)
    del os.environ[A]


def test_a_key_that_is_taken_away_comes_back() -> None:
    keys, mock = start("real", None), object()
    keys.put(mock, (A, B))
    del os.environ[A]
    keys.give_back(mock)
    assert os.environ.pop(A) == "real"


def test_a_dummy_that_somebody_puts_back_afterwards_is_taken_away_and_no_other_value() -> None:
    keys, mock = start("real", None), object()
    keys.put(mock, (A, B))
    seen = values()
    keys.give_back(mock)
    change(A, seen[0])
    change(B, "another")
    keys.settle()
    assert values() == ["real", "another"]
    change(A, seen[0])
    keys.settle()  # by now it is the user's
    assert values() == ["dummy", "another"]
    change(A, None)
    change(B, None)


def test_a_dummy_that_another_mock_holds_is_left() -> None:
    keys, one, other = start("real", None), object(), object()
    keys.put(one, (A,))
    keys.give_back(one)
    keys.put(other, (A,))
    keys.settle()
    assert os.environ[A] == "dummy"
    keys.give_back(other)
    assert os.environ.pop(A) == "real"
