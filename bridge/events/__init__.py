"""The domain events of the bridge: users, orders, and anything else as JSON (pure)."""

from bridge.events.amounts import amount_of
from bridge.events.duplicates import are_surely_single, doubled_key_steps, refuse_doubled_keys
from bridge.events.event import Event, decode_event, event_steps, is_event, is_event_steps
from bridge.events.faults import fault_of
from bridge.events.instants import instant_of
from bridge.events.json_marks import comma_steps
from bridge.events.json_rules import (
    Steps,
    check_json,
    has_plain_numbers,
    is_strict_json,
    is_well_formed,
    json_steps,
    result_of,
)
from bridge.events.plain import (
    PlainIds,
    events_as_written,
    is_all_of,
    plain_id,
    plain_ids,
    plain_value,
    text_value,
)
from bridge.events.plain_shapes import PlainEvent

__all__ = (
    "Event",
    "PlainEvent",
    "PlainIds",
    "Steps",
    "amount_of",
    "are_surely_single",
    "check_json",
    "comma_steps",
    "decode_event",
    "doubled_key_steps",
    "event_steps",
    "events_as_written",
    "fault_of",
    "has_plain_numbers",
    "instant_of",
    "is_all_of",
    "is_event",
    "is_event_steps",
    "is_strict_json",
    "is_well_formed",
    "json_steps",
    "plain_id",
    "plain_ids",
    "plain_value",
    "refuse_doubled_keys",
    "result_of",
    "text_value",
)
