"""Claims of `telemetry.logs` and its sink."""

import errno
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from bridge.config import ObserveConfig
from bridge.telemetry.log_sink import LineSink
from bridge.telemetry.logs import configure

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def configured(log_file: Path) -> Iterator[Callable[..., LineSink]]:
    """`configure` into *log_file*; everything global is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    access = logging.getLogger("aiohttp.access")
    fd = os.open(log_file, os.O_WRONLY | os.O_CREAT)

    def do(**observe: Any) -> LineSink:
        return configure(ObserveConfig(**observe), fd=fd)

    yield do
    os.close(fd)
    root.handlers[:] = handlers
    root.setLevel(level)
    access.propagate = True
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def again(error: OSError, seconds: float) -> bytes:
    assert seconds >= 0
    return f"again after {errno.errorcode[error.errno or 0]}\n".encode()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_json_object_with_time_level_logger_event_and_fields(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="json")
    with bound_contextvars(request_id="r-1", client="192.0.2.7"):
        structlog.get_logger("bridge.web").info("request", status=201, path="/a\nb", api_key="hunter2")
    sink.close()
    (line,) = lines(log_file)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "bridge.web",
        "event": "request",
        "status": 201,
        "path": "/a\\nb",
        "api_key": "***",
        "request_id": "r-1",
        "client": "192.0.2.7",
    }


def test_lines_below_the_level_are_not_written(configured: Callable[..., LineSink], log_file: Path) -> None:
    sink = configured(log_format="json", log_level="warning")
    log = structlog.get_logger("bridge.web")
    log.info("quiet")
    log.warning("loud")
    sink.close()
    assert [line["event"] for line in lines(log_file)] == ["loud"]


def test_an_exception_is_told_with_its_traceback_and_its_cause(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="json")
    log = structlog.get_logger("bridge.web")
    error = RuntimeError("outer")
    error.__cause__ = ValueError("iggy://user:hunter2@host")
    try:
        raise error
    except RuntimeError:
        log.exception("failed")
    log.error("again", exc_info=error)
    log.error("none", exc_info=(None, None, None))
    sink.close()
    first, second, third = lines(log_file)
    for line in (first, second):
        assert line["level"] == "error"
        assert "ValueError: iggy://***@host" in line["exception"]
        assert line["exception"].endswith("RuntimeError: outer")
    assert third["exception"] == ""


def test_the_standard_library_s_loggers_and_warnings_take_the_same_way(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="json")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").debug("selector")
    logging.getLogger("aiohttp.access").info("GET /")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    sink.close()
    shown = lines(log_file)
    assert [(line["logger"], line["level"]) for line in shown] == [
        ("asyncio", "warning"),
        ("py.warnings", "warning"),
    ]
    assert shown[0]["event"] == "slow callback"
    assert "DeprecationWarning: old" in shown[1]["event"]


def test_a_message_id_of_128_bits_does_not_lose_the_line(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="json")
    structlog.get_logger("bridge.web").info("stored", id=2**128 - 1)
    sink.close()
    assert lines(log_file)[0]["id"] == str(2**128 - 1)


def test_the_console_form_is_for_people_and_just_as_clean(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="console")
    log = structlog.get_logger("bridge.web")
    log.error("request", path="\x1b[31m", api_key="hunter2", exc_info=ValueError("why"))
    sink.close()
    text = log_file.read_text()
    assert "request" in text
    assert "ValueError: why" in text
    assert "hunter2" not in text
    assert "\\x1b[31m" in text


def test_auto_is_json_where_stdout_is_no_terminal(
    configured: Callable[..., LineSink], log_file: Path
) -> None:
    sink = configured(log_format="auto")
    structlog.get_logger("bridge.web").info("x")
    sink.close()
    assert lines(log_file)[0]["event"] == "x"


def test_a_reader_that_stops_reading_costs_lines_and_never_a_wait() -> None:
    reader, writer = os.pipe()
    told = Event()

    def dropped_line(count: int) -> bytes:
        told.set()
        return f"dropped {count}\n".encode()

    sink = LineSink(writer, dropped_line, again, lines_max=100)
    line = b"x" * 1023 + b"\n"
    for _ in range(1000):
        sink.write(line)
    received = b""
    while b"dropped " not in received:
        received += os.read(reader, 65536)
        if not told.is_set():
            sink.write(line)
    sink.close()
    os.close(writer)
    while part := os.read(reader, 65536):
        received += part
    os.close(reader)
    assert 100 <= received.count(b"x\n") < 1000
    assert received.endswith(b"\n")


def test_closing_gives_up_on_a_reader_that_never_reads() -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer, lambda _: b"", again, lines_max=1000)
    for _ in range(200):
        sink.write(b"x" * 1024)
    sink.close(timeout_s=0.01)
    # Letting go of the reader ends the writer's thread.
    os.close(reader)
    sink.close(timeout_s=10.0)
    assert not sink.alive
    os.close(writer)


def test_a_reader_that_is_gone_does_not_disturb_who_logs() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = LineSink(writer, lambda _: b"", again)
    sink.write(b"x\n")
    sink.write(b"y\n")
    sink.close(timeout_s=10.0)
    assert not sink.alive
    os.close(writer)


def test_a_descriptor_that_somebody_set_non_blocking_gets_every_line() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = LineSink(writer, lambda _: b"", again)
    for _ in range(200):
        sink.write(b"x" * 1023 + b"\n")
    received = b""
    while received.count(b"\n") < 200:
        received += os.read(reader, 65536)
    sink.close()
    os.close(writer)
    os.close(reader)
    assert len(received) == 200 * 1024


def test_lines_may_be_made_by_the_writing_thread_together_and_one_that_cannot_ends_no_other() -> None:
    reader, writer = os.pipe()
    held = Lock()

    @contextmanager
    def alone() -> Iterator[None]:
        with held:
            yield

    sink = LineSink(writer, lambda count: b"dropped %d\n" % count, again, alone=alone)

    def with_ends(told: list[Any]) -> bytes:
        return b"".join([each + b"\n" for each in told])

    with held:
        # What comes while it waits is made in one go.
        sink.write((with_ends, b"one"))
        sink.write((with_ends, "a text without an encoding"))
        sink.write((with_ends, b"two"))
        sink.write(b"three\n")
        sink.write((with_ends, b"four"))
    sink.close()
    os.close(writer)
    with os.fdopen(reader, "rb") as written:
        lines = written.read().splitlines()
    assert [line for line in lines if not line.startswith(b"dropped")] == [
        b"one",
        b"two",
        b"three",
        b"four",
    ]
