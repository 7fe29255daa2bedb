"""The domain events of the bridge: users, orders, and anything else as JSON (pure)."""

from bridge.events.amounts import amount_of
from bridge.events.duplicates import are_surely_single, refuse_doubled_keys
from bridge.events.event import Event, decode_event, is_event
from bridge.events.faults import fault_of
from bridge.events.json_rules import check_json, is_well_formed

__all__ = (
    "Event",
    "amount_of",
    "are_surely_single",
    "check_json",
    "decode_event",
    "fault_of",
    "is_event",
    "is_well_formed",
    "refuse_doubled_keys",
)
