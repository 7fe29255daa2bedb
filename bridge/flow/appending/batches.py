"""How waiting appends become one, and how its receipt is shared out again (pure)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bridge.limits import GATHER_BYTES_MAX, GATHER_MESSAGES_MAX
from bridge.messagelog import Receipt

__all__ = ("Weight", "shares", "taken")


class Weight(NamedTuple):
    """What one append weighs: both 1 or more."""

    messages_count: int
    size_bytes: int


def taken(waiting: Iterable[Weight]) -> int:
    """
    How many of *waiting*, from the front, go together: as many as fit the bounds, and the first in any case.

    Appends are never divided, so one that is larger than the bounds goes alone; none overtakes another.
    """
    count = messages_count = size_bytes = 0
    for weight in waiting:
        messages_count += weight.messages_count
        size_bytes += weight.size_bytes
        if count and (messages_count > GATHER_MESSAGES_MAX or size_bytes > GATHER_BYTES_MAX):
            break
        count += 1
    return count


def shares(receipt: Receipt, messages_counts: Sequence[int]) -> list[Receipt]:
    """The receipt of each append that went into one, in order; *receipt* covers the sum of *messages_counts*."""
    found: list[Receipt] = []
    offset = receipt.offset
    for messages_count in messages_counts:
        found.append(Receipt(receipt.partition_id, offset, messages_count, receipt.durability))
        if offset is not None:
            offset += messages_count
    return found
