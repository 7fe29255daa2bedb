"""Places for what carries requests, clients of the SDK or lines, and the bounded queues before them (shell)."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.errors import Outcome, Overloaded
from bridge.iggy.line import Line

__all__ = ("Lane", "Slot")

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Slot(Generic[C]):
    """
    A place for one client, which carries one request at a time.

    Attributes:
        generation: the session's count of connections when the client was made; a client of an older one is dead.
        used_at_s: when it last answered.
    """

    client: C | None = None
    generation: int = -1
    used_at_s: float = 0.0

    def let_go(self) -> None:
        """Use the client no more; what it does at the moment it does to its end."""
        client, self.client = self.client, None
        # Of the SDK's there is nothing to close: its socket goes with the last reference.
        if isinstance(client, Line):
            client.close()

    def give_up(self) -> None:
        """Use the client no more, nor wait for what it does."""
        client, self.client = self.client, None
        if isinstance(client, Line):
            client.abort()


class Lane(Generic[C]):
    """
    Slots and the callers that wait for one, first come, first served.

    The SDK would queue callers as well, but a request that it has is a request that may be written: waiting here
    keeps "surely not written" true until the turn comes.

    Args:
        size: number of slots.
        waiting_max: callers that may wait.
    """

    __slots__ = ("_free", "_waiters", "_waiting_max", "slots")

    def __init__(self, size: int, waiting_max: int) -> None:
        self.slots: tuple[Slot[C], ...] = tuple(Slot() for _ in range(size))
        self._free: deque[Slot[C]] = deque(self.slots)
        self._waiters: deque[asyncio.Future[Slot[C]]] = deque()
        self._waiting_max = waiting_max

    async def acquire(self, *, write: bool, timeout_s: float | None = None) -> Slot[C]:
        """
        A slot, to be given back with `release`.

        Raises:
            Overloaded: if too many wait.
            TimeoutError: if none came free in *timeout_s*.
        """
        if self._free:
            return self._free.popleft()
        if len(self._waiters) >= self._waiting_max:
            raise Overloaded(outcome=Outcome.NOT_WRITTEN if write else None, retry_after_ms=1000)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Slot[C]] = loop.create_future()
        self._waiters.append(turn)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _expire, turn)
        try:
            return await turn
        except (asyncio.CancelledError, TimeoutError):
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            else:
                # `release` passes over a turn that was cancelled a moment ago, and takes it out.
                with suppress(ValueError):
                    self._waiters.remove(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    @property
    def idle(self) -> Slot[C] | None:
        """The slot that `acquire` would give at once."""
        return self._free[0] if self._free else None

    def take(self) -> Slot[C]:
        """The `idle` slot, to be given back with `release`; only where there is one."""
        return self._free.popleft()

    def answered_since(self, at_s: float) -> bool:
        """Whether any client here got an answer after *at_s* (`Clock.monotonic_s`)."""
        return any(slot.used_at_s > at_s for slot in self.slots)

    def release(self, slot: Slot[C]) -> None:
        """Give *slot* to whoever waits longest."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(slot)
                return
        # The slot used last comes first: its client is warm, and the idle ones stay idle.
        self._free.appendleft(slot)


def _expire(turn: "asyncio.Future[Slot[C]]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
