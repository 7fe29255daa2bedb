"""What a tail remembers: who waits for which offset, and a message that is the only one (pure)."""

import asyncio

from bridge.errors import BridgeError
from bridge.limits import TAIL_SINGLE_LOOK_S
from bridge.messagelog import Records


class TailWaits:
    """Futures of one partition, each for the offset it waits for."""

    __slots__ = ("_nearest", "_offsets")

    def __init__(self) -> None:
        self._offsets: dict[asyncio.Future[bool], int] = {}
        #: A lower bound of the offsets.
        self._nearest = 0

    def add(self, future: "asyncio.Future[bool]", offset: int) -> None:
        """Done with True when a message at or after *offset* can be read."""
        self._nearest = min(self._nearest, offset) if self._offsets else offset
        self._offsets[future] = offset

    def forget(self, future: "asyncio.Future[bool]") -> None:
        """Nobody waits for it any more."""
        self._offsets.pop(future, None)

    def reached(self, end_offset: int) -> None:
        """Messages before *end_offset* can be read."""
        if not self._offsets or end_offset <= self._nearest:
            return
        woken = [future for future, offset in self._offsets.items() if offset < end_offset]
        for future in woken:
            del self._offsets[future]
            if not future.done():
                future.set_result(True)
        self._nearest = min(self._offsets.values(), default=0)

    def resolve_all(self, *, answer: bool) -> None:
        """All hear *answer*."""
        offsets, self._offsets = self._offsets, {}
        for future in offsets:
            if not future.done():
                future.set_result(answer)

    def fail(self, error: BridgeError) -> None:
        """All hear that there is no more to read."""
        offsets, self._offsets = self._offsets, {}
        for future in offsets:
            if not future.done():
                future.set_exception(error)


class SingleMessage:
    """The message with offset 0, while it is the only one.

    A partition with one message that was purged, and given another before anybody looked, ends where it did: only a look
    at the message tells.

    Attributes:
        suspected: something was done to the partition: the next look is due at once.
    """

    __slots__ = ("_looked_s", "_stored_us", "suspected")

    def __init__(self) -> None:
        self.suspected = False
        self._stored_us: int | None = None
        self._looked_s = -TAIL_SINGLE_LOOK_S

    def look_is_due(self, now_s: float) -> bool:
        """Whether to look at it now, which is then done."""
        if not self.suspected and now_s < self._looked_s + TAIL_SINGLE_LOOK_S:
            return False
        self._looked_s = now_s
        self.suspected = False
        return True

    def note(self, records: Records) -> None:
        """This was read."""
        if records and records.offsets[0] == 0:
            self._stored_us = records.timestamps_us[0]

    def is_in(self, records: Records) -> bool:
        """Whether it is what these begin with, as far as is known."""
        return (
            records.offsets[0] > 0 or self._stored_us is None or records.timestamps_us[0] == self._stored_us
        )

    def forget(self) -> None:
        """The partition began anew."""
        self._stored_us = None
