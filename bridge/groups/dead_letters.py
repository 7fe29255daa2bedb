"""Where messages go that nobody could process, and as what (pure)."""

from collections.abc import Mapping
from typing import Final

from bridge.dead_letter_names import dead_letter_name
from bridge.errors import BadRequest
from bridge.groups.records import GroupRef
from bridge.messagelog import HeaderValue, Message, NewMessage, TopicRef, check_append

# No log takes an empty payload, which other clients of Iggy may have written.
_EMPTY: Final = b"\n"


def dead_letter_topic(ref: GroupRef) -> TopicRef:
    """In the same stream."""
    return TopicRef(ref.stream, dead_letter_name(*ref))


def dead_letter(ref: GroupRef, partition_id: int, message: Message, *, deliveries: int) -> NewMessage:
    """*message* as it is stored for operators: its payload, id and headers, and where it came from.

    Headers of its own that do not fit beside ours are left out, and a header says so.
    """
    ours: Mapping[str, HeaderValue] = {
        "dead-letter-reason": "max_deliveries",
        "dead-letter-stream": ref.stream,
        "dead-letter-topic": ref.topic,
        "dead-letter-group": ref.group,
        "dead-letter-partition": partition_id,
        "dead-letter-offset": message.offset,
        "dead-letter-deliveries": deliveries,
        "dead-letter-timestamp-us": message.timestamp_us,
    }
    payload = message.payload or _EMPTY
    letter = NewMessage(payload, message.id, {**message.headers, **ours})
    try:
        check_append([letter])
    except BadRequest:
        return NewMessage(payload, message.id, {**ours, "dead-letter-headers": "left out"})
    return letter
