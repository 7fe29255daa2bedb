"""Event streams and the life of the process: readers outlive it."""

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Self

import pytest

from tests.support.bridge_process import BridgeProcess, connected
from tests.support.event_source import EventStream, SeenEvent
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer, running_server
from tests.support.raw_http import dechunked

READERS = 500
TIMEOUT_S = 30.0
KEY = "a key that outlives the process"


@pytest.fixture(scope="module")
def iggy_server() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of a bridge that comes back with what it had."""
    given = {
        "CURSOR_KEY": KEY,
        "IGGY_STREAM": f"s-{uuid.uuid4()}",
        "RATE_LIMIT_RPS": "0",
        "SHUTDOWN_GRACE_SECS": "20",
    }
    if request.param == "iggy":
        server: IggyServer = request.getfixturevalue("iggy_server")
        given["IGGY_CONNECTION_STRING"] = server.connection_string
    return given


class Reader:
    """A stream over a connection of its own."""

    def __init__(self, port: int, target: str, last_event_id: str = "") -> None:
        self.seen = EventStream()
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._connection.request(
            "GET", target, headers={"Last-Event-ID": last_event_id} if last_event_id else {}
        )
        self._response: HTTPResponse = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _read(self) -> bytes:
        piece = self._response.read1(65536)
        self.seen.feed(piece)
        return piece

    def began(self) -> None:
        while self.seen.retry_ms is None:
            assert self._read()

    def events(self, count: int) -> list[SeenEvent]:
        while len(self.seen.events) < count:
            assert self._read(), "ended early"
        return self.seen.events

    def rest(self) -> list[SeenEvent]:
        while self._read():
            pass
        return self.seen.events


def _send(port: int, *numbers: int) -> None:
    with connected(port) as connection:
        for number in numbers:
            body = json.dumps({"event": generic_event(number)})
            connection.request("POST", "/messages", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (201, True)


def _numbers(events: list[SeenEvent]) -> list[int]:
    return [json.loads(event.data)["event"]["payload"]["data"] for event in events if event.type == "message"]


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_reader_goes_on_after_a_restart_as_if_nothing_had_been(
    tmp_path: Path, settings: dict[str, str], way: str
) -> None:
    with BridgeProcess(tmp_path, settings) as bridge:
        port = bridge.started()
        with Reader(port, "/messages/stream") as reader:
            reader.began()
            _send(port, *range(6))
            halfway = reader.events(6)[2].last_event_id
            assert _numbers(reader.seen.events) == list(range(6))
            bridge.signal()
            bye = reader.rest()[-1]
            assert (bye.type, json.loads(bye.data)["cursor"]) == ("bye", reader.seen.last_event_id)
        assert bridge.ended() == 0
    with BridgeProcess(tmp_path, settings) as bridge:
        port = bridge.started()
        _send(port, 6, 7)
        for place, missing in ((bye.last_event_id, {6, 7}), (halfway, {3, 4, 5, 6, 7})):
            header, query = (place, "") if way == "header" else ("", f"?cursor={place}")
            with Reader(port, f"/messages/stream{query}", header) as again:
                assert set(_numbers(again.events(len(missing)))) == missing
        bridge.signal()
        assert bridge.ended() == 0


def test_five_hundred_readers_are_told_where_to_go_on_and_the_process_ends_with_0_in_time(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    request = b"GET /messages/stream HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
    with BridgeProcess(tmp_path, settings) as bridge, ExitStack() as stack:
        port = bridge.started()
        readers = []
        for _ in range(READERS):
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
            reader.sendall(request)
            readers.append((reader, bytearray()))
        for reader, got in readers:
            while not got.endswith(b"\n\n\r\n"):
                piece = reader.recv(65536)
                assert piece, (bytes(got), bridge.lines)
                got.extend(piece)
        _send(port, 1)
        bridge.signal()
        draining = bridge.until("draining")
        assert draining["requests"] == READERS
        places: dict[int, set[str]] = {}
        for reader, got in readers:
            while piece := reader.recv(65536):
                got.extend(piece)
            head, _, body = bytes(got).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert body.endswith(b"\r\n0\r\n\r\n")
            seen = EventStream()
            seen.feed(dechunked(body))
            # The message was acknowledged just before: whoever was not given it any more is told a place before it.
            assert [event.type for event in seen.events] in (["message", "bye"], ["bye"])
            places.setdefault(len(seen.events), set()).add(seen.last_event_id)
        assert all(len(each) == 1 for each in places.values())
        assert len(set.union(*places.values())) == len(places)
        assert bridge.ended() == 0
    # Nothing had to be cut, which the grace of 20 s would have done.
    assert {"shutdown_step_cut", "shutdown_step_failed"}.isdisjoint(bridge.events())
