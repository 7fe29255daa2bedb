"""Which messages of a reply are events that this process has itself sent (pure).

Anybody may have written what Iggy holds, and to judge a message takes ten times what it takes to know it again.
"""

import secrets
import struct
from collections.abc import Sequence
from itertools import repeat
from operator import add
from typing import Final

from bridge.limits import IGGY_SENT_RUN_MESSAGES, IGGY_SENT_RUNS_MAX, PAGE_BYTES_MAX
from bridge.messagelog import NewRecords, Records, TopicRef

# As many as SipHash itself has.
_KEY_BYTES: Final = 16
_HASH_BYTES: Final = 8
#: Of a place of which nothing is known; of one hash in 2^64 it is as well.
_UNKNOWN: Final = bytes(_HASH_BYTES)
_RUN_BYTES: Final = _HASH_BYTES * IGGY_SENT_RUN_MESSAGES


class SentEvents:
    """A hash of each event that was sent, by the place that the log gave it.

    SipHash-1-3 (Python's for bytes) of 64 bits, under a key that never leaves this object. A place whose message was removed
    and that another got since, from whomever, is known by no more than chance: of 2^64 of these one would be.

    0.2 us a message to keep, as much to know it again, and 8 bytes (measured); judging takes 2 us and more.
    """

    def __init__(self) -> None:
        self._key: Final = secrets.token_bytes(_KEY_BYTES)
        # What was begun first goes first.
        self._runs: dict[tuple[TopicRef, int, int], bytearray] = {}

    def hashes(self, sent: NewRecords) -> bytes:
        """What `add` takes; nothing where they are no events, or so large together that to hash them holds up others."""
        if not sent.events or sent.payload_bytes > PAGE_BYTES_MAX:
            return b""
        return self._hashes(sent.payloads)

    def add(self, topic: TopicRef, partition_id: int, offset: int, hashes: bytes) -> None:
        """Events of these *hashes* are stored from *offset* on, one after the other."""
        taken = 0
        while taken < len(hashes):
            number, begin = divmod(offset * _HASH_BYTES + taken, _RUN_BYTES)
            part = hashes[taken : taken + _RUN_BYTES - begin]
            self._run(topic, partition_id, number)[begin : begin + len(part)] = part
            taken += len(part)

    def are_all(self, topic: TopicRef, partition_id: int, records: Records) -> bool:
        """Whether all of *records*, which the log gave for that partition, are such events; False says nothing."""
        if not records or records.payload_bytes > PAGE_BYTES_MAX:
            return False
        known = self._known(topic, partition_id, records.offsets[0], len(records))
        # Before any is hashed: most of what others have written is found out here.
        if not known or known.find(_UNKNOWN) >= 0:
            return False
        return known == self._hashes(records.payloads)

    def _hashes(self, payloads: Sequence[bytes]) -> bytes:
        return struct.pack(f"{len(payloads)}q", *map(hash, map(add, repeat(self._key), payloads)))

    def _known(self, topic: TopicRef, partition_id: int, offset: int, count: int) -> bytes:
        """The hashes of so many places from *offset* on; nothing where there is no run for some of them."""
        parts: list[bytearray] = []
        at, end = offset * _HASH_BYTES, (offset + count) * _HASH_BYTES
        while at < end:
            number, begin = divmod(at, _RUN_BYTES)
            run = self._runs.get((topic, partition_id, number))
            if run is None:
                return b""
            parts.append(run[begin : begin + end - at])
            at += len(parts[-1])
        return b"".join(parts)

    def _run(self, topic: TopicRef, partition_id: int, number: int) -> bytearray:
        place = topic, partition_id, number
        run = self._runs.get(place)
        if run is None:
            run = self._runs[place] = bytearray(_RUN_BYTES)
            if len(self._runs) > IGGY_SENT_RUNS_MAX:
                del self._runs[next(iter(self._runs))]
        return run
