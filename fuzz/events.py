"""Invariant: a body is refused in words of our own or is an event whose id and type any JSON parser reads from it."""

import json
from typing import Any, Final
from uuid import UUID

import msgspec

from bridge.errors import SerializationError
from bridge.events import event_steps, instant_of, is_event, result_of
from bridge.events.json_rules import depths_of
from bridge.limits import EVENT_TYPE_CHARS_MAX, JSON_DEPTH_MAX

__all__ = ("check",)

#: Longer than any stretch that an input and the sentence of a refusal share by chance.
SHOWN_CHARS_MIN: Final = 48


class Typed(msgspec.Struct):
    event_type: str


def checked(data: bytes) -> UUID | None:
    try:
        return result_of(event_steps(data, at="$.event"))
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
    if max(depths_of(data)) < depth_by_walking(value):
        raise AssertionError("depth is counted too low")


def check(data: bytes) -> None:
    event_id = checked(data)
    if is_event(data) != (event_id is not None):
        raise AssertionError("what is taken in and what is an event in the log differ")
    check_depth(data)
    if event_id is None:
        return
    plain = json.loads(data)
    if depth_by_walking(plain) > JSON_DEPTH_MAX:
        raise AssertionError("accepted, yet too deep")
    event_type = msgspec.json.decode(data, type=Typed).event_type
    if plain["event_type"] != event_type or not 1 <= len(event_type) <= EVENT_TYPE_CHARS_MAX:
        raise AssertionError("another parser reads another event type")
    if plain["id"].replace("-", "").lower() != event_id.hex or event_id.int == 0:
        raise AssertionError("another parser reads another id")
    if instant_of(plain["timestamp"]).tzinfo is None:
        raise AssertionError("a time without a zone was accepted")
