"""What the log shows of a request (shared trust, B68)."""

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog

from bridge.limits import LOG_FIELD_CHARS_MAX
from bridge.telemetry.metrics import HttpMetrics
from tests.support.door import Door, open_door
from tests.support.raw_http import RawConnection, ask, request_bytes

Lines = list[MutableMapping[str, Any]]


def requests_of(lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == "request"]


async def test_one_line_a_request_with_what_an_operator_asks(door: Door, log_lines: Lines) -> None:
    await ask(door.port, request_bytes("GET", "/things/a?x=private", "X-Request-Id: r-1"))
    (line,) = requests_of(log_lines)
    assert line["duration_ms"] >= 0
    assert {
        name: line[name] for name in ("method", "route", "path", "status", "bytes", "client", "request_id")
    } == {
        "method": "GET",
        "route": "/things/{name}",
        "path": "/things/a",
        "status": 200,
        "bytes": 12,
        "client": "127.0.0.1",
        "request_id": "r-1",
    }
    assert "private" not in str(log_lines)


async def test_a_parser_error_and_a_404_have_their_line_too(door: Door, log_lines: Lines) -> None:
    await ask(door.port, b"rubbish-that-nobody-repeats\r\n\r\n")
    await ask(door.port, request_bytes("GET", "/nix"))
    assert [(line["route"], line["status"]) for line in requests_of(log_lines)] == [
        ("unmatched", 400),
        ("unmatched", 404),
    ]
    assert "rubbish" not in str(log_lines)


@pytest.mark.parametrize(
    "data",
    [
        request_bytes("GET", "/things/a%0A{%22event%22:%22forged%22}"),
        request_bytes("GET", "/things/%1b%5b31m"),
        request_bytes("GET", "/things/a", "X-Request-Id: a\x1b[31m"),
        request_bytes("GET", "/things/a", 'X-Request-Id: "},{"event":"forged'),
        request_bytes("GET", "/things/a", "User-Agent: \x1b[2Jforged"),
        request_bytes("GET", "/things/a?q=%0aforged"),
        request_bytes("GET", "/" + "a" * 3000),
    ],
)
async def test_b68_whatever_is_sent_is_one_line_of_bounded_fields(
    door: Door, data: bytes, log_lines: Lines
) -> None:
    await ask(door.port, data)
    (line,) = requests_of(log_lines)
    rendered = json.dumps(line)
    assert "\n" not in rendered
    assert json.loads(rendered) == line
    assert all(len(value) <= LOG_FIELD_CHARS_MAX for value in line.values() if isinstance(value, str))
    assert not any("\x1b" in value or "\n" in value for value in line.values() if isinstance(value, str))


async def test_probes_that_went_well_are_no_news(door: Door, log_lines: Lines) -> None:
    await ask(door.port, request_bytes("GET", "/health"))
    await ask(door.port, request_bytes("POST", "/health", body=b""))
    assert [(line["status"], line["log_level"]) for line in requests_of(log_lines)] == [
        (200, "debug"),
        (405, "info"),
    ]


async def test_request_id_and_client_are_bound_for_every_line_below_and_for_no_other_request(
    door: Door,
) -> None:
    await ask(door.port, request_bytes("GET", "/things/a", "X-Request-Id: r-1"))
    assert structlog.contextvars.get_contextvars() == {}


async def test_every_start_is_matched_by_an_end_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"started": 0, "finished": 0}

    def started(_: HttpMetrics) -> None:
        counts["started"] += 1

    def finished(_: HttpMetrics, *__: object) -> None:
        counts["finished"] += 1

    monkeypatch.setattr(HttpMetrics, "request_started", started)
    monkeypatch.setattr(HttpMetrics, "request_finished", finished)
    async with open_door() as door:
        for data in (request_bytes("GET", "/things/a"), b"rubbish\r\n\r\n", request_bytes("GET", "/nix")):
            await ask(door.port, data)
        gone = await RawConnection.open(door.port)
        await gone.send(
            request_bytes("POST", "/things/a", "Content-Type: application/json", "Content-Length: 9")
        )
        gone.close()
        await ask(door.port, request_bytes("GET", "/things/a"))
    assert counts["started"] == counts["finished"] >= 4
