"""Reading what a user names: whole, at most a bound, whatever kind of file it is."""

import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from openpipe_mock.config.file import load_settings
from openpipe_mock.core import userfiles
from openpipe_mock.core.userfiles import MEBIBYTE, FileContent, read_file, read_file_again
from openpipe_mock.server import readyfile
from openpipe_mock.testing import marker
from openpipe_mock.testing.interception import patched
from tests.live import PATIENCE

Make = Callable[[Path], object]


@contextmanager
def written(pipe: Path, data: bytes) -> Iterator[None]:
    """Write to a pipe while it is read."""
    writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
    writer.start()
    yield
    writer.join(PATIENCE)
    assert not writer.is_alive()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@contextmanager
def descriptors_kept() -> Iterator[None]:
    """No descriptor is open in the end that wasn't in the beginning."""
    before = os.listdir("/dev/fd")
    yield
    assert os.listdir("/dev/fd") == before


# Once.


def test_a_regular_file_is_read_whole_and_lasts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc\r\n\x00")
    assert read_file(path, 6) == FileContent(b"abc\r\n\x00", lasting=True)
    assert read_file(str(path), 6).data == read_file_again(path, 6)


@pytest.mark.parametrize("size", [0, 10, 100_000, MEBIBYTE], ids=str)
def test_a_pipe_is_read_to_its_end(pipe: Path, size: int) -> None:
    with written(pipe, b"x" * size):
        assert read_file(pipe, MEBIBYTE) == FileContent(b"x" * size, lasting=False)


@pytest.mark.slow
def test_a_pipe_is_read_in_as_many_pieces_as_it_is_written() -> None:
    reading, writing = os.pipe()
    try:
        with subprocess.Popen(["sh", "-c", "printf a; sleep 0.3; printf b"], stdout=writing):
            os.close(writing)
            assert read_file(f"/dev/fd/{reading}", 10) == FileContent(b"ab", lasting=False)
    finally:
        os.close(reading)


def test_a_descriptor_of_a_regular_file_is_read_once(tmp_path: Path) -> None:
    """As `/dev/stdin` is one behind `<`: what it is called says nothing of the file."""
    path = tmp_path / "file"
    path.write_text("abc")
    with path.open() as file:
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            assert read_file(name, 3) == FileContent(b"abc", lasting=False)


def test_a_link_to_a_regular_file_lasts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 3) == FileContent(b"abc", lasting=True)


def test_an_empty_device_is_empty() -> None:
    assert read_file("/dev/null", 3) == FileContent(b"", lasting=False)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def one_more(path: Path) -> None:
    path.write_bytes(b"x" * (MEBIBYTE + 1))


@pytest.mark.parametrize("make", [sparse, one_more])
@pytest.mark.parametrize("read", [read_file, read_file_again])
def test_more_than_the_bound_is_refused(
    tmp_path: Path, make: Make, read: Callable[[Path, int], object]
) -> None:
    make(tmp_path / "file")
    with descriptors_kept(), pytest.raises(OSError, match="it has more than 1 MiB, the most that is read"):
        read(tmp_path / "file", MEBIBYTE)


def test_an_endless_device_is_refused() -> None:
    with descriptors_kept(), pytest.raises(OSError, match="it has more than 1 MiB"):
        read_file("/dev/zero", MEBIBYTE)


@pytest.mark.slow
def test_a_pipe_beyond_the_bound_is_refused_before_its_end(pipe: Path) -> None:
    """Its writer never closes it."""
    with subprocess.Popen(["sh", "-c", f"exec cat /dev/zero > '{pipe}'"]) as writer:
        with descriptors_kept(), pytest.raises(OSError, match="it has more than 100 bytes"):
            read_file(pipe, 100)
        writer.kill()


@pytest.mark.parametrize("read", [read_file, read_file_again])
def test_a_folder_and_nothing_are_refused(tmp_path: Path, read: Callable[[Path, int], object]) -> None:
    with descriptors_kept():
        with pytest.raises(IsADirectoryError):
            read(tmp_path, 3)
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nowhere", 3)


def test_who_waits_long_for_a_writer_says_so(
    pipe: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(userfiles, "_PATIENCE_SECONDS", 0.05)
    reader = threading.Thread(target=read_file, args=(pipe, 10), daemon=True)
    reader.start()
    deadline = time.monotonic() + PATIENCE
    while not caplog.messages and time.monotonic() < deadline:
        time.sleep(0.01)
    assert caplog.messages == [f"openpipe-mock reads {pipe} and waits until whoever writes to it is done"]
    with written(pipe, b"x"):
        reader.join(PATIENCE)
    assert not reader.is_alive()


# Again: without waiting for anybody.


def test_a_pipe_is_not_read_again(pipe: Path) -> None:
    """Nor is it opened: its writer goes on waiting for a reader."""
    written = threading.Event()

    def write() -> None:
        with pipe.open("wb"):
            written.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    for _ in range(5):
        with descriptors_kept(), pytest.raises(OSError, match="it is a pipe now; put a regular file there"):
            read_file_again(pipe, 10)
    assert not written.wait(0.2)
    with pipe.open("rb"):
        writer.join(PATIENCE)


def test_a_device_and_a_socket_are_not_read_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a device now"):
        read_file_again("/dev/zero", 10)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="it is a socket now"):
            read_file_again(tmp_path / "socket", 10)


def test_what_takes_a_file_s_place_between_look_and_reading_is_not_waited_for(
    pipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("abc")
    plain = file.stat()
    assert stat.S_ISREG(plain.st_mode)
    monkeypatch.setattr(os, "stat", lambda *_: plain)  # it was one just now
    with pytest.raises(OSError, match="it is a pipe now"):
        read_file_again(pipe, 10)


# Who reads so.


def test_the_mock_in_a_test_takes_its_config_from_a_pipe(pipe: Path) -> None:
    with written(pipe, b"seed: 7\n"), patched(config=pipe) as mock:
        assert mock.service.settings.seed == 7


def test_a_config_file_is_bounded_everywhere(tmp_path: Path) -> None:
    sparse(tmp_path / "file")
    with pytest.raises(OSError, match=r"more than 1 MiB.*/file'"):
        load_settings(tmp_path / "file")
    with pytest.raises(OSError, match="more than 1 MiB"):
        patched(config=tmp_path / "file")


def test_the_marker_of_the_fixtures_may_name_a_pipe(pipe: Path, request: pytest.FixtureRequest) -> None:
    assert marker.found(pipe, request) == pipe


def test_a_ready_file_is_no_pipe(pipe: Path) -> None:
    """It isn't waited for either."""
    with pytest.raises(readyfile.UnfitReadyFile, match="it exists and is no ready file"):
        readyfile.check_ready_file(pipe)


def test_a_ready_file_is_recognised(tmp_path: Path) -> None:
    readyfile.write_ready_file(tmp_path / "ready", "http://127.0.0.1:1")
    readyfile.check_ready_file(tmp_path / "ready")
    assert json.loads((tmp_path / "ready").read_bytes())["pid"] == readyfile.owner(tmp_path / "ready")
