"""Who waits until a partition reaches beyond an offset (shell)."""

import asyncio

from bridge.errors import BridgeError

__all__ = ("TailWaits",)


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

    def settle(self, *, answer: bool) -> None:
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
