"""What every log refuses before it writes anything (pure)."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, repeat
from typing import Final

from bridge.errors import BadRequest, BridgeError, PayloadTooLarge
from bridge.limits import (
    APPEND_BYTES_MAX,
    APPEND_MESSAGE_OVERHEAD_BYTES,
    HEADER_KEY_BYTES_MAX,
    HEADER_VALUE_BYTES_MAX,
    HEADERS_BYTES_MAX,
    MESSAGE_PAYLOAD_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX,
    PARTITIONS_MAX,
)
from bridge.messagelog.header_runs import HeaderRuns
from bridge.messagelog.records import NewRecords
from bridge.messagelog.values import ByKey, HeaderValue, NewMessage, Placement

# Iggy writes one byte of kind and four of length before each key and each value; 100,000 bytes count with them.
_HEADER_FRAME_BYTES: Final = 10
_NUMBER_BYTES: Final = 8
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1


def check_append(messages: Sequence[NewMessage]) -> int:
    """Size of one append in bytes: payloads, headers, and `APPEND_MESSAGE_OVERHEAD_BYTES` for each message.

    Raises:
        BadRequest: if there is no message, or a payload, id or header is out of bounds.
        PayloadTooLarge: if one payload or all together are too large; its `limit` says which bound.
    """
    records = NewRecords.of(messages)
    payloads = records.payloads
    # Not the property, which costs four times as much for one message.
    payload_bytes = records.ends[-1] if len(payloads) > 1 else sum(map(len, payloads))
    if not payloads:
        raise BadRequest("An append needs at least one message.")
    if not all(payloads) or (
        payload_bytes > MESSAGE_PAYLOAD_BYTES_MAX and max(map(len, payloads)) > MESSAGE_PAYLOAD_BYTES_MAX
    ):
        index = next(
            at for at, payload in enumerate(payloads) if not 1 <= len(payload) <= MESSAGE_PAYLOAD_BYTES_MAX
        )
        raise _refused(payloads[index], index)
    total_bytes = payload_bytes + len(payloads) * APPEND_MESSAGE_OVERHEAD_BYTES
    if records.headers:
        total_bytes += size_of_headers(records)
    if total_bytes > APPEND_BYTES_MAX:
        raise PayloadTooLarge(
            f"The messages of one append are larger than {APPEND_BYTES_MAX} bytes together.",
            limit=APPEND_BYTES_MAX,
        )
    return total_bytes


def check_message(message: NewMessage) -> None:
    """What `check_append` refuses of one message whose id is in bounds, told as of the only one there is.

    Raises:
        BadRequest: if its payload is empty, or a header is out of bounds.
        PayloadTooLarge: if its payload is too large.
    """
    if not 1 <= len(message.payload) <= MESSAGE_PAYLOAD_BYTES_MAX:
        raise _refused(message.payload, None)
    headers_bytes(message.headers, None)


def _refused(payload: bytes, index: int | None) -> BridgeError:
    """Why it is out of bounds."""
    if not payload:
        return BadRequest(f"The payload of {_name_of(index)} is empty.")
    return PayloadTooLarge(
        f"The payload of {_name_of(index)} is larger than {MESSAGE_PAYLOAD_BYTES_MAX} bytes.",
        limit=MESSAGE_PAYLOAD_BYTES_MAX,
    )


def _name_of(index: int | None) -> str:
    return "the message" if index is None else f"message {index}"


def check_placement(placement: Placement) -> None:
    """Refuse a key that Iggy could not place.

    Raises:
        BadRequest: if a key is not 1..`PARTITION_KEY_BYTES_MAX` bytes long.
    """
    if isinstance(placement, ByKey) and not 1 <= len(placement.key) <= PARTITION_KEY_BYTES_MAX:
        raise BadRequest(
            f"A partition key has 1 to {PARTITION_KEY_BYTES_MAX} bytes.", limit=PARTITION_KEY_BYTES_MAX
        )


def check_partitions(count: int) -> None:
    """Refuse to make a topic of *count* partitions.

    Raises:
        BadRequest: if *count* is not 1..`PARTITIONS_MAX`.
    """
    if not 1 <= count <= PARTITIONS_MAX:
        raise BadRequest(f"A topic has 1 to {PARTITIONS_MAX} partitions.", limit=PARTITIONS_MAX)


def check_added_partitions(present: int, count: int) -> None:
    """Refuse to add *count* partitions to *present*.

    Raises:
        BadRequest: if *count* is not 1 or more, or all together are more than `PARTITIONS_MAX`.
    """
    if count < 1:
        raise BadRequest("At least one partition is added.", limit=1)
    if present + count > PARTITIONS_MAX:
        raise BadRequest(
            f"A topic has at most {PARTITIONS_MAX} partitions; this one has {present}.",
            limit=PARTITIONS_MAX - present,
        )


def size_of_headers(records: NewRecords) -> int:
    """Sum over `headers_bytes` of all messages; of those that came together one is looked at.

    Raises:
        BadRequest: as `headers_bytes`.
    """
    if type(records.headers) is not HeaderRuns:
        return sum([headers_bytes(each, index) for index, each in records.headers.items()])
    index = total_bytes = 0
    for count, each in records.headers.runs:
        total_bytes += count * headers_bytes(each, index)
        index += count
    return total_bytes


def ends_of_headers(records: NewRecords) -> Sequence[int]:
    """Sum over `headers_bytes` up to and with each message.

    Raises:
        BadRequest: as `headers_bytes`.
    """
    count = len(records.payloads)
    if type(records.headers) is HeaderRuns:
        runs = records.headers.runs
        sizes = [headers_bytes(each, None) for _, each in runs]
        if len(runs) == 1 and sizes[0]:
            return range(sizes[0], sizes[0] * count + 1, sizes[0])
        of_runs = [repeat(size, count) for size, (count, _) in zip(sizes, runs, strict=True)]
        return list(accumulate(chain.from_iterable(of_runs)))
    of_messages = [0] * count
    for index, each in records.headers.items():
        of_messages[index] = headers_bytes(each, index)
    return list(accumulate(of_messages))


def headers_bytes(headers: Mapping[str, HeaderValue], index: int | None) -> int:
    """Size in bytes of the headers of a message, as Iggy frames them; numbers count 8 bytes.

    Args:
        index: of the message, for a fault to name it; None for the only one.

    Raises:
        BadRequest: if a key, a value or the whole is out of bounds.
    """
    total_bytes = 0
    for key, value in headers.items():
        key_bytes = len(key) if key.isascii() else _text_bytes(key, index)
        if not 1 <= key_bytes <= HEADER_KEY_BYTES_MAX:
            raise BadRequest(
                f"A header key of {_name_of(index)} does not have 1 to {HEADER_KEY_BYTES_MAX} bytes.",
                limit=HEADER_KEY_BYTES_MAX,
            )
        value_bytes = len(value) if type(value) is str and value.isascii() else _value_bytes(value, index)
        if not 1 <= value_bytes <= HEADER_VALUE_BYTES_MAX:
            raise BadRequest(
                f"A header value of {_name_of(index)} does not have 1 to {HEADER_VALUE_BYTES_MAX} bytes.",
                limit=HEADER_VALUE_BYTES_MAX,
            )
        total_bytes += _HEADER_FRAME_BYTES + key_bytes + value_bytes
    if total_bytes > HEADERS_BYTES_MAX:
        raise BadRequest(
            f"The headers of {_name_of(index)} are larger than {HEADERS_BYTES_MAX} bytes together.",
            limit=HEADERS_BYTES_MAX,
        )
    return total_bytes


def _value_bytes(value: HeaderValue, index: int | None) -> int:
    match value:
        case bytes():
            return len(value)
        case str():
            return _text_bytes(value, index)
        case int():
            if not _INT_MIN <= value <= _INT_MAX:
                raise BadRequest(f"A header number of {_name_of(index)} is outside -2^63 to 2^64-1.")
            return _NUMBER_BYTES
        case _:
            if not math.isfinite(value):
                # Iggy refuses them.
                raise BadRequest(f"A header number of {_name_of(index)} is not finite.")
            return _NUMBER_BYTES


def _text_bytes(text: str, index: int | None) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise BadRequest(f"A header of {_name_of(index)} is no Unicode text.") from None
