"""
Holds what callers were told against what is stored in the end; every crash and outage test uses it.

The promise: what was acknowledged is where its receipt says, unaltered; offsets have no gap; a partition keeps the order
in which each writer sent, and nothing stands before what was acknowledged when it was sent; there is one copy, but for
what somebody sent twice; what was told as not written is not there; nothing is stored that nobody sent.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ("Account", "Stored")

# As many faults are shown as help to find the first cause.
_SHOWN = 10


class Stored(NamedTuple):
    """One message as it was read at the end."""

    offset: int
    id: Hashable
    payload: bytes


class _Attempt(NamedTuple):
    payload: bytes
    writer: Hashable
    number: int
    #: Partition -> the newest offset that was acknowledged when this was sent.
    after: dict[int, int]


class _Place(NamedTuple):
    partition_id: int
    offset: int


@dataclass
class Account:
    """
    What was sent, and what was said of it.

    Attributes:
        seed: shown with every failure, to run the same again.
        acknowledged: id of a message -> where each of its receipts says it is.
        refused: ids that were told as not written.
        doubtful: ids of which nobody knows: a write that was given up may be stored late, behind what came after it.
    """

    seed: object
    acknowledged: dict[Hashable, list[_Place]] = field(default_factory=dict)
    refused: set[Hashable] = field(default_factory=set)
    doubtful: set[Hashable] = field(default_factory=set)
    _attempts: dict[Hashable, _Attempt] = field(default_factory=dict)
    _copies: Counter[Hashable] = field(default_factory=Counter)
    _ends: dict[int, int] = field(default_factory=dict)

    @property
    def acknowledged_count(self) -> int:
        return len(self.acknowledged)

    def send(self, message_id: Hashable, payload: bytes, *, writer: Hashable = None) -> None:
        """A message leaves its writer, which sends one after the other; the same id again is a retry."""
        self._copies[message_id] += 1
        if message_id not in self._attempts:
            self._attempts[message_id] = _Attempt(payload, writer, len(self._attempts), dict(self._ends))

    def acknowledge(self, message_id: Hashable, partition_id: int, offset: int) -> None:
        """A receipt came for it."""
        self.acknowledged.setdefault(message_id, []).append(_Place(partition_id, offset))
        self._ends[partition_id] = max(self._ends.get(partition_id, -1), offset)

    def refuse(self, message_id: Hashable) -> None:
        """It was told that nothing was written."""
        self.refused.add(message_id)

    def doubt(self, message_id: Hashable) -> None:
        """It was told that its outcome is unknown."""
        self.doubtful.add(message_id)

    def check(
        self,
        stored: Mapping[int, Sequence[Stored]],
        *,
        starts: Mapping[int, int] | None = None,
        deduplicates: bool = False,
    ) -> None:
        """
        Fail unless the promise was kept.

        Args:
            stored: every message of each partition, in the order in which it was read.
            starts: partition -> offset of the first of them, 0 where it is not named.
            deduplicates: a message that was sent twice under one id has one copy all the same.
        """
        faults = self.faults(stored, starts=starts, deduplicates=deduplicates)
        shown = "\n  ".join(faults[:_SHOWN])
        assert not faults, f"seed {self.seed}: {len(faults)} faults\n  {shown}"

    def faults(
        self,
        stored: Mapping[int, Sequence[Stored]],
        *,
        starts: Mapping[int, int] | None = None,
        deduplicates: bool = False,
    ) -> list[str]:
        """What was promised and not kept, in words."""
        found: list[str] = []
        for partition_id, messages in stored.items():
            found.extend(_gaps(partition_id, messages, (starts or {}).get(partition_id, 0)))
            found.extend(self._strange(partition_id, messages))
            found.extend(self._out_of_order(partition_id, messages))
        found.extend(self._missing(stored))
        found.extend(self._doubled(stored, deduplicates=deduplicates))
        return found

    def _missing(self, stored: Mapping[int, Sequence[Stored]]) -> Iterable[str]:
        places = {
            (partition_id, message.offset): message.id
            for partition_id, messages in stored.items()
            for message in messages
        }
        for message_id, told in self.acknowledged.items():
            for place in told:
                there = places.get(place)
                if there is None:
                    yield f"{message_id!r} was acknowledged at {place} and is not there"
                elif there != message_id:
                    yield f"{message_id!r} was acknowledged at {place}, where {there!r} is"

    def _strange(self, partition_id: int, messages: Sequence[Stored]) -> Iterable[str]:
        for message in messages:
            attempt = self._attempts.get(message.id)
            if attempt is None:
                yield f"{message.id!r} at {partition_id}/{message.offset} was sent by nobody"
            elif attempt.payload != message.payload:
                yield f"{message.id!r} at {partition_id}/{message.offset} is altered"
            if message.id in self.refused:
                yield f"{message.id!r} was told as not written and is at {partition_id}/{message.offset}"

    def _out_of_order(self, partition_id: int, messages: Sequence[Stored]) -> Iterable[str]:
        newest: dict[Hashable, int] = {}
        seen: set[Hashable] = set()
        for message in messages:
            attempt = self._attempts.get(message.id)
            if attempt is None or message.id in seen:
                continue
            seen.add(message.id)
            if self._copies[message.id] == 1 and message.id not in self.doubtful:
                if attempt.number < newest.get(attempt.writer, -1):
                    yield f"{message.id!r} at {partition_id}/{message.offset} is behind what was sent later"
                newest[attempt.writer] = attempt.number
            if message.offset <= attempt.after.get(partition_id, -1):
                yield f"{message.id!r} at {partition_id}/{message.offset} stands before what was there already"

    def _doubled(self, stored: Mapping[int, Sequence[Stored]], *, deduplicates: bool) -> Iterable[str]:
        copies = Counter(message.id for messages in stored.values() for message in messages)
        for message_id, count in copies.items():
            if count > (1 if deduplicates else max(1, self._copies[message_id])):
                yield f"{message_id!r} was sent {self._copies[message_id]} times and is there {count} times"


def _gaps(partition_id: int, messages: Sequence[Stored], start: int) -> Iterable[str]:
    for expected, message in enumerate(messages, start=start):
        if message.offset != expected:
            yield f"partition {partition_id} has offset {message.offset} where {expected} should be"
            return
