"""Event streams and the life of the process: readers outlive it."""

import json
import re
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
from tests.support.raw_http import dechunked, request_bytes
from tests.support.raw_ws import upgrade_lines
from tests.support.ws_frames import client_close, client_text

READERS = 500
SOCKETS = 100
PRODUCERS = 200
TIMEOUT_S = 60.0
#: Longer than a busy machine needs for all of them; what is not done by itself is cut at its end, and told.
GRACE_S = "100"
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
        "SHUTDOWN_GRACE_SECS": GRACE_S,
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
        self.events(0)

    def events(self, count: int) -> list[SeenEvent]:
        """So many at least, after the one that the stream begins with."""
        while len(self.seen.events) <= count:
            assert self._read(), "ended early"
        return self.seen.events[1:]

    def rest(self) -> list[SeenEvent]:
        while self._read():
            pass
        return self.seen.events[1:]


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
            told = reader.events(6)
            halfway = told[2].last_event_id
            # In order within a partition alone: which partition's tail looks first is not promised.
            numbers = _numbers(told)
            assert sorted(numbers) == list(range(6))
            bridge.signal()
            bye = reader.rest()[-1]
            assert (bye.type, json.loads(bye.data)["cursor"]) == ("bye", reader.seen.last_event_id)
        assert bridge.ended() == 0
    with BridgeProcess(tmp_path, settings) as bridge:
        port = bridge.started()
        _send(port, 6, 7)
        for place, missing in ((bye.last_event_id, {6, 7}), (halfway, {*numbers[3:], 6, 7})):
            header, query = (place, "") if way == "header" else ("", f"?cursor={place}")
            with Reader(port, f"/messages/stream{query}", header) as again:
                assert set(_numbers(again.events(len(missing)))) == missing
        bridge.signal()
        assert bridge.ended() == 0


def _opened(
    stack: ExitStack, port: int, data: bytes, count: int, end: bytes
) -> list[tuple[socket.socket, bytearray]]:
    """Connections that have each sent *data*, and heard something that ends with *end*."""
    opened = []
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
        connection.sendall(data)
        opened.append((connection, bytearray()))
    for connection, got in opened:
        while not got.endswith(end):
            piece = connection.recv(65536)
            assert piece, bytes(got)
            got.extend(piece)
    return opened


def _rest(connection: socket.socket, got: bytearray) -> bytes:
    """All that was heard, up to the end of the connection."""
    while piece := connection.recv(65536):
        got.extend(piece)
    return bytes(got)


def _seen(got: bytes) -> EventStream:
    """A whole event stream."""
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body.endswith(b"\r\n0\r\n\r\n")
    seen = EventStream()
    seen.feed(dechunked(body))
    return seen


def _left_of_socket(got: bytes) -> tuple[list[int], str]:
    """The numbers that a socket was sent before `bye`, and the cursor in it."""
    texts = [json.loads(line) for line in re.findall(rb'\{"op":.*?\}(?=[\x80-\xff]|$)', got, re.DOTALL)]
    assert texts[-1]["op"] == "bye"
    (left,) = texts[-1]["subscriptions"]
    numbers = [each["message"]["event"]["payload"]["data"] for each in texts if each["op"] == "message"]
    return numbers, left["cursor"]


def test_whatever_is_open_when_the_end_comes_is_finished_or_told_where_to_go_on_in_time(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    stream = b"GET /messages/stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    body = json.dumps({"event": generic_event(2)}).encode()
    head = b"POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    post = head + b"Content-Length: %d\r\n\r\n" % len(body)
    with BridgeProcess(tmp_path, settings) as bridge, ExitStack() as stack:
        port = bridge.started()
        readers = _opened(stack, port, stream, READERS, b"\n\n\r\n")
        upgrade = request_bytes("GET", "/ws", *upgrade_lines())
        subscribe = client_text(b'{"op":"subscribe","id":"s","permits":10}')
        sockets = _opened(stack, port, upgrade + subscribe, SOCKETS, b'"permits":10}')
        _send(port, 1)
        producers = _opened(stack, port, post, PRODUCERS, b"100 Continue\r\n\r\n")
        bridge.signal()
        assert bridge.until("draining")["requests"] >= READERS + PRODUCERS
        for producer, _ in producers:
            producer.sendall(body)
        for producer, got in producers:
            answer = _rest(producer, got)
            assert b"HTTP/1.1 201 " in answer, answer
        # Of what was acknowledged each reader has a beginning, and a place behind it.
        places: dict[str, set[int]] = {}
        for reader, got in readers:
            seen = _seen(_rest(reader, got))
            assert seen.events[-1].type == "bye"
            places.setdefault(seen.last_event_id, set()).add(len(_numbers(seen.events)))
        for each, got in sockets:
            each.sendall(client_close(1001))
            numbers, cursor = _left_of_socket(_rest(each, got))
            places.setdefault(cursor, set()).add(len(numbers))
        assert bridge.ended() == 0
    # Nothing had to be cut.
    assert {"shutdown_step_cut", "shutdown_step_failed"}.isdisjoint(bridge.events())
    with BridgeProcess(tmp_path, settings) as bridge:
        port = bridge.started()
        for place, counts in places.items():
            (count,) = counts
            with Reader(port, "/messages/stream", place) as again:
                missing = 1 + PRODUCERS - count
                found = sorted(_numbers(again.events(missing)))
                assert found == sorted([1] * (1 - min(count, 1)) + [2] * (PRODUCERS - max(count - 1, 0)))
        bridge.signal()
        assert bridge.ended() == 0
