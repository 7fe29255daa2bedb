"""The default topic is never missing to those who use it: not at the start, and not after somebody deleted it."""

import json
import select
import socket
from collections import Counter
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Event, Thread
from typing import Final

import pytest

from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import generic_event
from tests.support.iggy_server import running_server

EVENT: Final = json.dumps({"event": generic_event(1)}).encode()
BATCH: Final = json.dumps({"events": [generic_event(2), generic_event(3)]}).encode()
TOPIC: Final = "/streams/sample-stream/topics/events"
JSON: Final = "Content-Type: application/json\r\n"

#: What clients ask of the default topic, by the short ways and the long ones.
ASKED: Final = (
    ("POST", "/messages", JSON, EVENT),
    ("POST", f"{TOPIC}/messages", JSON, EVENT),
    ("POST", "/messages", "Content-Type: text/plain\r\n", b"some text"),
    ("POST", "/messages", "Content-Type: application/x-ndjson\r\n", b'{"a":1}\n{"a":2}\n'),
    ("POST", "/messages/batch", JSON, BATCH),
    ("GET", "/messages", "", b""),
    ("GET", f"{TOPIC}/messages?partition_id=2", "", b""),
    ("GET", "/messages?wait_ms=1", "", b""),
    ("GET", "/messages?cursor=first", "", b""),
    ("GET", "/messages", "Accept: application/x-ndjson\r\n", b""),
    ("GET", "/messages/stream", "", b""),
    ("GET", TOPIC, "", b""),
    ("GET", "/streams/sample-stream", "", b""),
    ("GET", "/streams/sample-stream/topics", "", b""),
    ("GET", f"{TOPIC}/consumers/7/offsets", "", b""),
    ("DELETE", f"{TOPIC}/consumers/7/offsets/0", "", b""),
    ("POST", f"{TOPIC}/groups/workers/receive", JSON, b"{}"),
)

#: Makes no topic before there is a file of this name.
GATED: Final = """
import asyncio, os
from bridge.locallog.admin import LocalAdmin
made = LocalAdmin.create_topic
async def create_topic(self, topic, **named):
    while topic.stream == "sample-stream" and not os.path.exists(os.environ["GATE"]):
        await asyncio.sleep(0.01)
    return await made(self, topic, **named)
LocalAdmin.create_topic = create_topic
from bridge.__main__ import main
main()
"""


def asked(port: int, method: str, path: str, headers: str, body: bytes) -> socket.socket:
    """A connection on which that was asked."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def status(client: socket.socket) -> int:
    told = b""
    while b"\r\n" not in told:
        part = client.recv(65536)
        assert part, told
        told += part
    return int(told.split()[1])


def in_flight(port: int) -> int:
    figures = get(port, "/metrics")[1].decode()
    (line,) = (line for line in figures.splitlines() if line.startswith("bridge_http_requests_in_flight "))
    return int(float(line.split()[1])) - 1


def test_what_is_asked_before_the_default_topic_is_there_waits_for_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    given = {"GATE": str(gate), "RATE_LIMIT_RPS": "0"}
    with BridgeProcess(tmp_path / "data", given, code=GATED) as bridge:
        port = int(bridge.until("listening")["port"])
        bridge.until("stream_created")
        clients = [asked(port, *each) for each in ASKED]
        while in_flight(port) < len(ASKED) and not select.select(clients, [], [], 0)[0]:
            pass
        code, body = get(port, "/ready")
        assert (code, json.loads(body)["checks"]["default_topic"]["ok"]) == (503, False)
        gate.touch()
        statuses = {each[:3]: status(client) for each, client in zip(ASKED, clients, strict=True)}
        for client in clients:
            client.close()
    assert {each: code for each, code in statuses.items() if code not in (200, 201, 204)} == {}


def test_what_is_asked_for_longer_than_its_time_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    given = {"GATE": str(tmp_path / "never"), "RATE_LIMIT_RPS": "0", "OPERATION_TIMEOUT_SECS": "0.3"}
    with BridgeProcess(tmp_path / "data", given, code=GATED) as bridge:
        port = int(bridge.until("listening")["port"])
        for method, outcome in (("POST", "not_written"), ("GET", None)):
            with connected(port) as connection:
                connection.request(
                    method, "/messages", EVENT if outcome else None, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                told = json.loads(answer.read())
            assert (answer.status, told["retryable"], told.get("outcome")) == (503, True, outcome), told
            assert int(answer.headers["Retry-After"]) >= 1


def ask_until(over: Event, port: int, asks: tuple[str, str, bytes], seen: Counter[int]) -> None:
    method, path, body = asks
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    while not over.is_set():
        connection.request(method, path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        seen[answer.status] += 1
        if answer.status >= 400:
            over.set()
    connection.close()


def test_deleting_the_default_stream_hurts_nobody_who_uses_it(tmp_path: Path) -> None:
    over, seen, deletions = Event(), Counter[int](), 0
    with BridgeProcess(tmp_path, {"RATE_LIMIT_RPS": "0"}) as bridge:
        port = bridge.started()
        users = [
            Thread(target=ask_until, args=(over, port, asks, seen))
            for asks in (
                ("POST", "/messages", EVENT),
                ("POST", "/messages/batch", BATCH),
                ("GET", "/messages", b""),
                ("GET", "/messages?cursor=first", b""),
            )
        ]
        for user in users:
            user.start()
        with connected(port) as connection:
            while deletions < 20 and not over.is_set():
                # Something was stored since the last time.
                before = seen[201]
                while seen[201] == before and not over.is_set():
                    pass
                connection.request("DELETE", "/streams/sample-stream")
                answer = connection.getresponse()
                answer.read()
                deletions += answer.status == 204
        over.set()
        for user in users:
            user.join()
        assert get(port, "/ready")[0] == 200
    assert set(seen) == {200, 201}, seen
    assert deletions == 20


def line_of(answer: HTTPResponse, start: bytes) -> bytes:
    """The next line that begins so, without that."""
    while line := answer.readline():
        if line.startswith(start):
            return line.removeprefix(start)
    raise EOFError(start)


def test_a_live_reader_of_the_default_topic_is_told_what_was_deleted_and_goes_on(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"RATE_LIMIT_RPS": "0", "IGGY_PARTITIONS": "1"}) as bridge:
        port = bridge.started()
        assert answered(port, "POST", "/messages", JSON, EVENT) == 201
        with connected(port) as reader:
            reader.request("GET", "/messages/stream?from=first")
            events = reader.getresponse()
            line_of(events, b'data: {"partition_id":0,"offset":0,')
            assert answered(port, "DELETE", "/streams/sample-stream", "", b"") == 204
            assert answered(port, "POST", "/messages", JSON, EVENT) == 201
            line_of(events, b"event: gap")
            told = json.loads(line_of(events, b"data: "))
            assert told == {"partition_id": 0, "from_offset": 1, "to_offset": 0}
            line_of(events, b'data: {"partition_id":0,"offset":0,')


def answered(port: int, method: str, path: str, headers: str, body: bytes) -> int:
    client = asked(port, method, path, headers, body)
    code = status(client)
    client.close()
    return code


@pytest.mark.iggy
def test_a_default_stream_that_was_deleted_past_the_bridge_is_made_again(tmp_path: Path) -> None:
    with running_server() as server:
        given = {"IGGY_CONNECTION_STRING": server.connection_string, "RATE_LIMIT_RPS": "0"}
        with (
            BridgeProcess(tmp_path / "a", given) as bridge,
            BridgeProcess(tmp_path / "b", {**given, "IGGY_STREAM": "of-another"}) as other,
        ):
            port, other_port = bridge.started(), other.started()
            statuses = {}
            for each in ASKED:
                assert answered(other_port, "DELETE", "/streams/sample-stream", "", b"") == 204
                statuses[each[:3]] = answered(port, *each)
            # And by itself, where nobody asks for it.
            assert answered(other_port, "DELETE", "/streams/sample-stream", "", b"") == 204
            while get(other_port, f"{TOPIC}/messages")[0] == 404 or get(port, "/ready")[0] != 200:
                pass
    assert {each: code for each, code in statuses.items() if code not in (200, 201, 204)} == {}
