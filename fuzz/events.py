"""Invariant: a body is refused in words of our own or is an event whose id and type any JSON parser reads from it."""

import json
from typing import Any, Final

from bridge.errors import SerializationError
from bridge.events.event import Event, decode_event, is_event
from bridge.events.json_rules import check_json, depth_of
from bridge.limits import EVENT_TYPE_CHARS_MAX, JSON_DEPTH_MAX

__all__ = ("check",)

#: Longer than any stretch that an input and the sentence of a refusal share by chance.
SHOWN_CHARS_MIN: Final = 48


def decoded(data: bytes) -> Event | None:
    try:
        check_json(data)
        return decode_event(data, at="$.event")
    except SerializationError as refused:
        text = data.decode(errors="replace")
        if len(text) >= SHOWN_CHARS_MIN and text in refused.detail:
            raise AssertionError("the refusal shows the input") from refused
        if not (refused.path or "$").startswith("$"):
            raise AssertionError("the path is no JSON path") from refused
        return None


def depth_by_walking(value: Any) -> int:
    """Levels of arrays and objects, without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            children = item.values() if isinstance(item, dict) else item
            waiting += [(child, level + 1) for child in children]
    return deepest


def check_depth(data: bytes) -> None:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        return
    # A key that stands twice hides its first value from the walk, never a level from the count.
    if depth_of(data) < depth_by_walking(value):
        raise AssertionError("depth is counted too low")


def check(data: bytes) -> None:
    event = decoded(data)
    if is_event(data) != (event is not None):
        raise AssertionError("what is taken in and what is an event in the log differ")
    check_depth(data)
    if event is None:
        return
    plain = json.loads(data)
    if depth_by_walking(plain) > JSON_DEPTH_MAX:
        raise AssertionError("accepted, yet too deep")
    if plain["event_type"] != event.event_type or not 1 <= len(event.event_type) <= EVENT_TYPE_CHARS_MAX:
        raise AssertionError("another parser reads another event type")
    if plain["id"].replace("-", "").lower() != event.id.hex or event.id.int == 0:
        raise AssertionError("another parser reads another id")
    if event.timestamp.tzinfo is None:
        raise AssertionError("a time without a zone was accepted")
