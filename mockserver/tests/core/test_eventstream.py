"""Server-sent events as their standard has them."""

import pytest

from openpipe_mock.core.eventstream import Event, event_ends, read_events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_is_read(end: bytes) -> None:
    body = end.join((b"data: 1", b"", b"data: 2", b"", b""))
    assert [event.data for event in read_events(body).events] == ["1", "2"]


def test_a_body_may_mix_line_ends() -> None:
    assert [event.data for event in read_events(b"data: 1\r\n\ndata: 2\r\r\n").events] == ["1", "2"]


def test_data_of_several_lines_is_joined_by_line_feeds() -> None:
    assert read_events(b"data: {\ndata:\ndata:  1}\n\n").events == (Event("{\n\n 1}"),)


def test_comments_names_and_unknown_fields_carry_no_data() -> None:
    body = b": ping\nevent: done\nid: 7\nretry: 3\ndata\n\n: alone\n\nevent: nothing\n\n"
    assert read_events(body).events == (Event("", "done"),)


def test_a_byte_order_mark_is_dropped_and_bad_bytes_become_signs() -> None:
    assert read_events(b"\xef\xbb\xbfdata: caf\xe9\n\n").events == (Event("caf\ufffd"),)


@pytest.mark.parametrize("rest", [b"data: 2", b"data: 2\n"])
def test_an_event_without_its_blank_line_is_unfinished(rest: bytes) -> None:
    stream = read_events(b"data: 1\n\n" + rest)
    assert [event.data for event in stream.events] == ["1"]
    assert stream.unfinished


@pytest.mark.parametrize("rest", [b"", b"\n", b": comment", b"event: x"])
def test_what_carries_no_data_leaves_nothing_unfinished(rest: bytes) -> None:
    assert not read_events(b"data: 1\n\n" + rest).unfinished


def test_an_events_end_is_behind_its_blank_line() -> None:
    body = b"\xef\xbb\xbfdata: 1\r\n\r\n: note\n\ndata:\n\nevent: x\ndata:2\n\ndata: cut off\n"
    assert [body[:end].split(b"data")[-1] for end in event_ends(body)] == [b": 1\r\n\r\n", b":2\n\n"]
