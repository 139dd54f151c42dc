"""Every public method of openpipe 5.0.0 with the fixtures."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from every_method import CALLS, CLIENTS, seen_by


@pytest.mark.parametrize("way", CLIENTS)
def test_every_method_is_answered(openpipe_mock, way):
    seen = asyncio.run(seen_by(CLIENTS[way]()))
    assert set(seen) <= set(CALLS)
    assert len(openpipe_mock.calls) == len(seen) >= 13
    assert {call.status for call in openpipe_mock.calls} == {200}
    openpipe_mock.assert_contract_kept()


@pytest.mark.parametrize("way", ["sync base", "async base"])
def test_the_base_client_has_all_of_them(openpipe_mock, way):
    assert set(asyncio.run(seen_by(CLIENTS[way]()))) == set(CALLS)
