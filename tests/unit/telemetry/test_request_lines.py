"""The short way of request lines gives what the long way gives."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import ObserveConfig
from bridge.telemetry.log_fields import clean_text
from bridge.telemetry.logs import configure, log_request

GIVEN: dict[str, Any] = {
    "method": "POST",
    "route": "/messages",
    "path": "/messages",
    "status": 201,
    "seconds": 0.00123,
    "body_bytes": 17,
    "client": "127.0.0.1",
    "request_id": "r-1",
    "quiet": False,
}


@pytest.fixture(autouse=True)
def structlog_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines_of(observe: ObserveConfig, *told: dict[str, Any]) -> list[str]:
    read_fd, write_fd = os.pipe()
    sink = configure(observe, fd=write_fd)
    for fields in told:
        log_request(**fields)
    sink.close()
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as reader:
        return reader.read().splitlines()


def test_a_json_line_holds_every_field_that_was_told() -> None:
    (line,) = lines_of(ObserveConfig(log_format="json"), GIVEN)
    shown = json.loads(line)
    assert shown.pop("timestamp").endswith("Z")
    assert shown == {
        "level": "info",
        "logger": "bridge.access",
        "event": "request",
        "method": "POST",
        "route": "/messages",
        "path": "/messages",
        "status": 201,
        "duration_ms": 1.23,
        "bytes": 17,
        "client": "127.0.0.1",
        "request_id": "r-1",
    }


def test_its_time_is_written_as_in_every_other_line() -> None:
    read_fd, write_fd = os.pipe()
    sink = configure(ObserveConfig(log_format="json"), fd=write_fd)
    log_request(**GIVEN)
    structlog.get_logger("bridge.test").info("other")
    sink.close()
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as reader:
        request, other = (json.loads(line)["timestamp"] for line in reader)
    assert len(request) == len(other) == len("2026-01-02T03:04:05.678901Z")
    assert request[:10] == other[:10]


def test_on_a_terminal_it_is_readable() -> None:
    (line,) = lines_of(ObserveConfig(log_format="console"), GIVEN)
    assert "request" in line
    assert "status=201" in line


@pytest.mark.parametrize("level,count", [("debug", 2), ("info", 1), ("warning", 0)])
def test_the_level_decides_what_is_written(level: str, count: int) -> None:
    lines = lines_of(ObserveConfig(log_format="json", log_level=level), GIVEN, {**GIVEN, "quiet": True})
    assert len(lines) == count


@given(st.text(), st.text(), st.text())
def test_whatever_comes_from_outside_is_one_line_of_cleaned_fields(
    method: str, path: str, request_id: str
) -> None:
    told = {**GIVEN, "method": method, "path": path, "request_id": request_id}
    (line,) = lines_of(ObserveConfig(log_format="json"), told)
    shown = json.loads(line)
    assert (shown["method"], shown["path"]) == (clean_text(method), clean_text(path))
    assert shown["request_id"] == clean_text(request_id)


def test_credentials_in_a_path_or_an_id_are_hidden() -> None:
    told = {**GIVEN, "path": "/iggy://user:hunter2@host", "request_id": "api_key=hunter2"}
    (line,) = lines_of(ObserveConfig(log_format="json"), told)
    assert "hunter2" not in line


def test_where_somebody_else_has_set_structlog_up_lines_go_through_it() -> None:
    read_fd, write_fd = os.pipe()
    sink = configure(ObserveConfig(log_format="json"), fd=write_fd)
    with structlog.testing.capture_logs() as captured:
        log_request(**GIVEN)
    assert [(entry["event"], entry["duration_ms"], entry["bytes"]) for entry in captured] == [
        ("request", 1.23, 17)
    ]
    log_request(**GIVEN)
    sink.close()
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as reader:
        assert len(reader.readlines()) == 1
