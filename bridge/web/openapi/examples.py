"""Values that the document shows (pure); a test holds them to their schemas."""

from typing import Any, Final

_TIME: Final = "2026-01-02T03:04:05.678901Z"
_ID: Final = "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11"
_USER_ID: Final = "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12"
CURSOR: Final = "EQMAAAEAAABvT2mV0h8UeYzJ5Q"
TOKEN: Final = "0200000002000000000000000002504bdabe5bbb4994ed16bceff19c02d7e1a85b40d6f3a1"  # noqa: S105 (of a lease)


def _event(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"id": _ID, "event_type": kind, "timestamp": "2026-01-02T03:04:05Z", "payload": payload}


EVENT: Final = _event("order.paid", {"type": "Generic", "data": {"order": 1, "amount": 19.90}})
USER: Final = _event(
    "user.created",
    {
        "type": "User",
        "data": {"action": "Created", "user_id": _USER_ID, "email": "ada@example.org", "name": "Ada"},
    },
)
ORDER: Final = _event(
    "order.created",
    {
        "type": "Order",
        "data": {
            "action": "Created",
            "order_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11",
            "user_id": _USER_ID,
            "items": [
                {"product_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f13", "quantity": 2, "unit_price": "29.99"}
            ],
            "total_amount": "59.98",
        },
    },
)
BATCH: Final = {"events": [EVENT], "partition_key": "customer-42"}

_PLACE: Final = {"stream": "sample-stream", "topic": "events"}
_STORED: Final = {"success": True, **_PLACE, "timestamp": _TIME}
EVENT_RECEIPT: Final = {**_STORED, "partition_id": 2, "durability": "persisted", "event_id": _ID, "offset": 0}
MESSAGE_RECEIPT: Final = {**_STORED, "id": _ID, "partition_id": 2, "offset": 1, "durability": "persisted"}
LINES_RECEIPT: Final = {
    **_STORED,
    "stored": 2,
    "failed": 0,
    "partitions": [{"partition_id": 0, "first_offset": 4, "last_offset": 5, "count": 2}],
    "errors": [],
    "durability": "persisted",
}

_SHOWN: Final = {"offset": 0, "timestamp": _TIME, "id": _ID, "size": 182, "event": EVENT}
_TEXT: Final = {**_SHOWN, "offset": 1, "size": 5, "event": None, "headers": {"trace": "1"}, "text": "hello"}
PAGE: Final = {"messages": [_SHOWN, _TEXT], "count": 2, "partition_id": 2, "current_offset": 1}
CURSOR_PAGE: Final = {
    "messages": [{"partition_id": 2, **_SHOWN}],
    "count": 1,
    "next_cursor": CURSOR,
    "gaps": [{"partition_id": 0, "from_offset": 0, "to_offset": 10}],
}
EVENTS_TEXT: Final = (
    "retry: 3044\n"
    f"id: {CURSOR}\n"
    "event: open\n"
    f'data: {{"stream":"sample-stream","topic":"events","cursor":"{CURSOR}","retry_ms":3044}}\n\n'
    f"id: {CURSOR}\n"
    f'data: {{"partition_id":2,"offset":1,"timestamp":"{_TIME}","id":"{_ID}","size":5,"event":null,"headers":{{}},'
    '"text":"hello"}\n\n'
)

STREAM: Final = {
    "id": 1,
    "name": "shop",
    "created_at": _TIME,
    "topics_count": 1,
    "size_bytes": 182,
    "messages_count": 1,
}
TOPIC: Final = {
    "id": 1,
    "name": "orders",
    "stream_id": 1,
    "created_at": _TIME,
    "partitions_count": 1,
    "size_bytes": 182,
    "messages_count": 1,
    "durability": "persisted",
    "retention": {"max_age_seconds": 86400, "max_bytes": None},
    "partitions": [{"id": 0, "current_offset": 0, "size_bytes": 182, "messages_count": 1}],
}
CONSUMER_OFFSET: Final = {
    "consumer": "7",
    **_PLACE,
    "partition_id": 2,
    "offset": 0,
    "current_offset": 1,
    "lag": 1,
}
GROUP: Final = {
    "name": "mailer",
    "members": ["a3c31ee661c949b98e44701e93edee1f"],
    "lag": 1,
    "in_flight": 1,
    "partitions_count": 1,
    "used_at": _TIME,
    "dead_letter_topic": "events.mailer.dlq",
    "partitions": [
        {
            "partition_id": 0,
            "committed_offset": None,
            "end_offset": 1,
            "lag": 1,
            "in_flight": 1,
            "waiting": 0,
            "owner": "a3c31ee661c949b98e44701e93edee1f",
        }
    ],
}
DELIVERIES: Final = {
    "messages": [
        {"partition_id": 2, "token": TOKEN, "delivery_count": 1, "lease_expires_at": _TIME, **_SHOWN}
    ],
    "count": 1,
}

HEALTH: Final = {
    "status": "healthy",
    "iggy_connected": True,
    "version": "0.1.0",
    "timestamp": _TIME,
    "log": {"kind": "local", "state": "open", "durability": "persisted", "server_version": None},
}
READY: Final = {
    "status": "ready",
    "checks": {
        "started": {"ok": True, "detail": ""},
        "default_topic": {"ok": True, "detail": ""},
        "not_draining": {"ok": True, "detail": ""},
        "log": {"ok": True, "detail": "", "state": "open"},
    },
    "timestamp": _TIME,
}
TICKET: Final = {"ticket": "q2Yk3S0x7n0w5pQ8d1mQ0Zf6mK0", "expires_in_seconds": 30}
STATS: Final = {
    "streams_count": 1,
    "topics_count": 1,
    "total_messages": 1,
    "total_size_bytes": 182,
    "uptime_seconds": 60,
    "cache_age_seconds": 1,
    "cache_stale": False,
    "messages_sent": 1,
    "messages_received": 1,
}


def row_of(whole: dict[str, Any]) -> dict[str, Any]:
    """A topic or a group as a list shows it."""
    return {name: value for name, value in whole.items() if name != "partitions"}
