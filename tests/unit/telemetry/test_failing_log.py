"""A log whose descriptor fails: the bridge serves on, nothing is lost while it fits, and logging goes on by itself."""

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
import structlog

from bridge.config import ObserveConfig
from bridge.telemetry import log_sink
from bridge.telemetry.log_sink import LineSink
from bridge.telemetry.logs import configure
from tests.support.small_disks import fill, small_disk

WAIT_S = 20.0


class Failing:
    """
    `os.write` that fails while told to.

    Attributes:
        error_number: what it fails with; 0 for not at all.
        most_bytes: what it takes at once.
        failed: it has failed, by itself or as told.
    """

    def __init__(self) -> None:
        self.error_number = 0
        self.most_bytes = 1 << 30
        self.failed = Event()
        self._write: Callable[[int, memoryview], int] = os.write

    def __call__(self, fd: int, data: memoryview) -> int:
        if self.error_number:
            self.failed.set()
            raise OSError(self.error_number, os.strerror(self.error_number))
        try:
            return self._write(fd, data[: self.most_bytes])
        except OSError:
            self.failed.set()
            raise


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    found = Failing()
    monkeypatch.setattr(os, "write", found)
    monkeypatch.setattr(log_sink, "_FAILED_WRITE_S", 0.001)
    return found


def again(error: OSError, seconds: float) -> bytes:
    assert seconds >= 0
    return f"again after {errno.errorcode[error.errno or 0]}\n".encode()


def read_until(fd: int, end: bytes) -> bytes:
    received = b""
    while end not in received:
        part = os.read(fd, 65536)
        assert part
        received += part
    return received


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE])
def test_every_line_is_written_once_what_failed_works_again_and_the_gap_is_told_once(
    failing: Failing, number: int
) -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer, lambda count: b"dropped %d\n" % count, again)
    for round_number in range(2):
        failing.failed.clear()
        failing.error_number = number
        sink.write(b"first %d\n" % round_number)
        assert failing.failed.wait(WAIT_S)
        sink.write(b"second %d\n" % round_number)
        failing.error_number = 0
        received = read_until(reader, b"second %d\n" % round_number).splitlines()
        told = b"again after " + errno.errorcode[number].encode()
        assert received == [b"first %d" % round_number, told, b"second %d" % round_number]
    sink.close()
    os.close(writer)
    os.close(reader)


def test_a_line_of_which_a_part_was_written_goes_on_where_it_stopped(failing: Failing) -> None:
    reader, writer = os.pipe()
    failing.most_bytes = 3
    sink = LineSink(writer, lambda _: b"", again)
    write = failing._write

    def halfway(fd: int, data: memoryview) -> int:
        failing.error_number = errno.ENOSPC
        return write(fd, data)

    failing._write = halfway
    sink.write(b"abcdef\n")
    assert failing.failed.wait(WAIT_S)
    failing._write = write
    failing.error_number = 0
    assert read_until(reader, b"ENOSPC\n") == b"abcdef\nagain after ENOSPC\n"
    sink.close()
    os.close(writer)
    os.close(reader)


def test_what_does_not_fit_while_writing_fails_is_dropped_and_counted(failing: Failing) -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer, lambda count: b"dropped %d\n" % count, again, lines_max=10)
    failing.error_number = errno.ENOSPC
    sink.write(b"on its way\n")
    assert failing.failed.wait(WAIT_S)
    for number in range(25):
        sink.write(b"%d\n" % number)
    failing.error_number = 0
    received = read_until(reader, b"dropped 15\n").splitlines()
    assert received == [
        b"on its way",
        b"again after ENOSPC",
        *(b"%d" % number for number in range(10)),
        b"dropped 15",
    ]
    sink.close()
    os.close(writer)
    os.close(reader)


def test_the_end_does_not_wait_for_a_descriptor_that_fails(failing: Failing) -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer, lambda _: b"", again)
    failing.error_number = errno.ENOSPC
    sink.write(b"x\n")
    assert failing.failed.wait(WAIT_S)
    sink.write(b"y\n")
    sink.close(timeout_s=WAIT_S)
    assert not sink.alive
    os.close(writer)
    os.close(reader)


def test_a_pipe_with_a_name_goes_on_with_its_next_reader(failing: Failing, tmp_path: Path) -> None:
    name = tmp_path / "log"
    os.mkfifo(name)
    reader = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(name, os.O_WRONLY)
    sink = LineSink(writer, lambda _: b"", again)
    os.close(reader)
    sink.write(b"x\n")
    assert failing.failed.wait(WAIT_S)
    reader = os.open(name, os.O_RDONLY)
    assert read_until(reader, b"EPIPE\n") == b"x\nagain after EPIPE\n"
    sink.close()
    os.close(writer)
    os.close(reader)


@pytest.fixture
def plain_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aiohttp.access").propagate = True
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.mark.usefixtures("plain_logging")
def test_a_log_file_on_a_full_disk_has_every_line_once_there_is_room(
    failing: Failing, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        path = disk / "log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sink = configure(ObserveConfig(log_format="json"), fd=fd)
        log = structlog.get_logger("bridge.web")
        others = fill(disk)
        for number in range(20):
            log.info("request", number=number, path="x" * 1000)
        assert failing.failed.wait(WAIT_S)
        others.unlink()
        while b"log_written_again" not in path.read_bytes():
            pass
        log.info("after")
        sink.close()
        os.close(fd)
        shown = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["number"] for line in shown if line["event"] == "request") == list(range(20))
    (gap,) = [line for line in shown if line["event"] == "log_written_again"]
    assert gap["reason"] == "No space left on device"
    assert shown[-1]["event"] == "after"
