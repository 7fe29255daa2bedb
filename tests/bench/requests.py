"""The same work in the words of each target (pure)."""

import base64
import json
from typing import Final, NamedTuple
from uuid import UUID

import xxhash

from tests.bench.cases import Case, Dialect, Kind

__all__ = (
    "FILLED",
    "OFFSET",
    "PARTITIONS",
    "STREAM",
    "Request",
    "connections_of",
    "event_json",
    "filling",
    "line_bodies",
    "request_of",
)

STREAM: Final = "bench"
PARTITIONS: Final = 3
#: Messages that partition 0 holds before anything is measured.
FILLED: Final = 100_000
#: Stands in a path for an offset that is another one in each request.
OFFSET: Final = "OFFSET"
_IDS: Final = 0x7F2C1A526C1F4D0E9A3B0F5A3C0D9E11
#: Iggy's HTTP API answers 429 to more than 32 writes in flight.
_IGGY_HTTP_CONNECTIONS_MAX: Final = 30


class Request(NamedTuple):
    """One request, to be sent again and again; *path* may hold `OFFSET`."""

    method: str
    path: str
    body: bytes


def event_json(number: int) -> bytes:
    """An event of 293 to 299 bytes; what the SDK and Iggy's HTTP API send as the payload of one message."""
    event = {
        "id": str(UUID(int=_IDS + number)),
        "event_type": "order.created",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "payload": {
            "type": "Generic",
            "data": {"order": 1000 + number, "customer": "c-4711", "note": "n" * 80, "lines": [1, 2, 3]},
        },
        "source": "bench",
    }
    return json.dumps(event, separators=(",", ":")).encode()


def line_bodies(count: int) -> bytes:
    """NDJSON of *count* events."""
    return b"".join(event_json(number) + b"\n" for number in range(count))


def _events(count: int) -> bytes:
    return b'{"events":[' + b",".join(event_json(number) for number in range(count)) + b"]"


def filling() -> Request:
    """A batch of 1000 for partition 0."""
    key = next(
        key for key in map(str, range(1000)) if xxhash.xxh32_intdigest(key.encode(), 0) % PARTITIONS == 0
    )
    return Request("POST", "/messages/batch", _events(1000) + b',"partition_key":"' + key.encode() + b'"}')


def connections_of(case: Case, dialect: Dialect) -> int:
    return (
        min(case.connections, _IGGY_HTTP_CONNECTIONS_MAX)
        if dialect is Dialect.IGGY_HTTP
        else case.connections
    )


def request_of(case: Case, dialect: Dialect, *, topic: str = "") -> Request:
    """
    Args:
        topic: for Iggy's HTTP API, which has no default topic.
    """
    if dialect is Dialect.IGGY_HTTP:
        return _iggy_request(case, f"/streams/{STREAM}/topics/{topic}/messages")
    if case.kind is Kind.READ:
        return Request("GET", f"/messages?partition_id=0&offset={_offset(case)}&count={case.messages}", b"")
    if case.kind is Kind.BULK_IN:
        return Request("POST", "/messages", line_bodies(case.messages))
    if case.kind is Kind.BULK_OUT:
        return Request("GET", f"/messages?partition_id=0&offset=0&until={case.messages}", b"")
    if case.messages == 1:
        return Request("POST", "/messages", b'{"event":' + event_json(0) + b"}")
    return Request("POST", "/messages/batch", _events(case.messages) + b"}")


def _iggy_request(case: Case, path: str) -> Request:
    if case.kind is Kind.READ:
        query = f"kind=offset&value={_offset(case)}&count={case.messages}&auto_commit=false"
        return Request("GET", f"{path}?consumer_id=1&partition_id=0&{query}", b"")
    messages = [
        {"id": 0, "payload": base64.b64encode(event_json(number)).decode()} for number in range(case.messages)
    ]
    body = {"partitioning": {"kind": "balanced", "value": ""}, "messages": messages}
    return Request("POST", path, json.dumps(body, separators=(",", ":")).encode())


def _offset(case: Case) -> str:
    return OFFSET if case.key == "get-any" else "0"
