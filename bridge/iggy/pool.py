"""Places for clients of the SDK, and the bounded queues before them (shell)."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from apache_iggy import IggyClient

from bridge.errors import Outcome, Overloaded


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one client, which carries one request at a time.

    Attributes:
        generation: the session's count of connections when the client was made; a client of an older one is dead.
        used_at_s: when it last answered.
        answer: what is waited for from the client at the moment.
        taken: whether somebody has it.
    """

    client: IggyClient | None = None
    generation: int = -1
    used_at_s: float = 0.0
    answer: "asyncio.Future[Any] | None" = None
    taken: bool = False

    def drop_client(self, last_answer_s: float) -> None:
        """Use the client no more; there is nothing to close: its socket goes with the last reference.

        Args:
            last_answer_s: how long what it does at the moment is still waited for. It runs on in the SDK after that.
        """
        self.client = None
        answer = self.answer
        if answer is None or answer.done():
            return
        if last_answer_s:
            answer.get_loop().call_later(last_answer_s, _lose, answer)
        else:
            _lose(answer)


def _lose(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(RuntimeError("Disconnected"))


class Lane:
    """Slots and the callers that wait for one, first come, first served.

    The SDK would queue callers as well, but a request that it has is a request that may be written: waiting here
    keeps "surely not written" true until the turn comes.

    Args:
        size: number of slots.
        waiting_max: callers that may wait.
    """

    def __init__(self, size: int, waiting_max: int) -> None:
        self.slots: tuple[Slot, ...] = tuple(Slot() for _ in range(size))
        self._free: deque[Slot] = deque(self.slots)
        self._waiters: deque[asyncio.Future[Slot]] = deque()
        self._waiting_max = waiting_max

    async def acquire(self, *, write: bool) -> Slot:
        """A slot, to be given back with `release`.

        Raises:
            Overloaded: if too many wait.
        """
        if self._free:
            slot = self._free.popleft()
            slot.taken = True
            return slot
        if len(self._waiters) >= self._waiting_max:
            raise Overloaded(outcome=Outcome.NOT_WRITTEN if write else None, retry_after_ms=1000)
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result())
            else:
                # `release` passes over a turn that was cancelled a moment ago, and takes it out.
                with suppress(ValueError):
                    self._waiters.remove(turn)
            raise

    def answered_since(self, at_s: float) -> bool:
        """Whether any client here got an answer after *at_s* (`Clock.monotonic_s`)."""
        return any(slot.used_at_s > at_s for slot in self.slots)

    def release(self, slot: Slot) -> None:
        """Give *slot* to whoever waits longest.

        Raises:
            RuntimeError: if nobody has it. Two callers over one client would take each other's answers for their own.
        """
        if not slot.taken:
            raise RuntimeError("a slot was given back twice")
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(slot)
                return
        slot.taken = False
        # The slot used last comes first: its client is warm, and the idle ones stay idle.
        self._free.appendleft(slot)
