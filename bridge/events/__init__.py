"""The domain events of the bridge: users, orders, and anything else as JSON (pure)."""

from bridge.events.duplicates import doubled_key_steps, is_all_of, whole_value
from bridge.events.event import (
    Event,
    EventIds,
    event_steps,
    is_event,
    is_event_steps,
    known_ids,
    plain_events,
    sure_id,
    sure_ids,
)
from bridge.events.faults import fault_of
from bridge.events.instants import instant_of
from bridge.events.json_rules import (
    Steps,
    are_surely_safe,
    check_json,
    comma_steps,
    count_by_leaps,
    is_well_formed,
    json_steps,
    result_of,
)
from bridge.events.payloads import OrderItem, amount_of

__all__ = (
    "Event",
    "EventIds",
    "OrderItem",
    "Steps",
    "amount_of",
    "are_surely_safe",
    "check_json",
    "comma_steps",
    "count_by_leaps",
    "doubled_key_steps",
    "event_steps",
    "fault_of",
    "instant_of",
    "is_all_of",
    "is_event",
    "is_event_steps",
    "is_well_formed",
    "json_steps",
    "known_ids",
    "plain_events",
    "result_of",
    "sure_id",
    "sure_ids",
    "whole_value",
)
