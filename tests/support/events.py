"""Domain events as a client writes them."""

import uuid
from typing import Any, Final

import msgspec

from bridge.events import Event, event_steps, result_of

__all__ = ("ORDER_CREATED", "checked_event", "generic_event", "order_event", "user_event")

_EVENT: Final = msgspec.json.Decoder(Event)

ORDER_CREATED: dict[str, Any] = {
    "action": "Created",
    "order_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11",
    "user_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f12",
    "items": [
        {"product_id": "0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f13", "quantity": 2, "unit_price": "29.99"},
    ],
    "total_amount": "59.98",
}


def _event(event_type: str, payload: dict[str, Any], /, **more: Any) -> dict[str, Any]:
    event = {
        "id": str(uuid.uuid4()),
        "event_type": event_type,
        "timestamp": "2026-01-02T03:04:05.678Z",
        "payload": payload,
    }
    return event | more


def user_event(**more: Any) -> dict[str, Any]:
    """A user that was created; *more* adds or replaces fields of the event."""
    data = {"action": "Created", "user_id": str(uuid.uuid4()), "email": "a@example.org", "name": "Ada"}
    return _event("user.created", {"type": "User", "data": data}, **more)


def order_event(data: dict[str, Any] = ORDER_CREATED, /, **more: Any) -> dict[str, Any]:
    """Something that happened to an order."""
    return _event("order.created", {"type": "Order", "data": data}, **more)


def generic_event(data: Any, /, **more: Any) -> dict[str, Any]:
    """An event with any JSON in it."""
    return _event("anything", {"type": "Generic", "data": data}, **more)


def checked_event(raw: bytes, *, at: str = "$") -> Event:
    """The event that *raw* spells; refused as `event_steps` does."""
    event_id = result_of(event_steps(raw, at=at))
    event = _EVENT.decode(raw)
    assert uuid.UUID(event.id) == event_id
    return event
