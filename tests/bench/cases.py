"""What is measured (pure): requests as bytes, connections, and how many messages one request moves."""

import json
from typing import Final, NamedTuple
from uuid import UUID

__all__ = ("CASES", "FILLING", "Case")


class Case(NamedTuple):
    """One kind of load.

    Attributes:
        connections: each sends its next request when the last is answered.
        messages: moved by one request.
    """

    name: str
    method: str
    path: str
    body: bytes
    connections: int
    messages: int


def _event(number: int) -> dict[str, object]:
    return {
        "id": str(UUID(int=0x7F2C1A526C1F4D0E9A3B0F5A3C0D9E11 + number)),
        "event_type": "order.created",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "payload": {
            "type": "Generic",
            "data": {"order": 1000 + number, "customer": "c-4711", "note": "n" * 80, "lines": [1, 2, 3]},
        },
        "source": "bench",
    }


def _batch(count: int) -> bytes:
    return json.dumps({"events": [_event(number) for number in range(count)]}).encode()


_SINGLE: Final = json.dumps({"event": _event(0)}).encode()
_POLL: Final = "/messages?partition_id=0&offset=0&count=100"

#: Sent before anything is measured, so that every partition holds more than one page.
FILLING: Final = Case("filling", "POST", "/messages/batch", _batch(1000), 1, 1000)

CASES: Final = (
    Case("POST /messages, 1 connection", "POST", "/messages", _SINGLE, 1, 1),
    Case("POST /messages, 64 connections", "POST", "/messages", _SINGLE, 64, 1),
    Case("batches of 100, 8 connections", "POST", "/messages/batch", _batch(100), 8, 100),
    Case("batches of 1000, 4 connections", "POST", "/messages/batch", _batch(1000), 4, 1000),
    Case("polls of 100, 8 connections", "GET", _POLL, b"", 8, 100),
)
