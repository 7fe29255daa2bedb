"""
Writes that need not wait for anything, begun without a task (shell).

Whatever is not plain sailing (no connection, no free line, a refusal) is left to the session, which waits, tries again
and finds out what is missing. Only what was written and came to an end that nobody knows is told here.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError, DeadlineExceeded, LogError, Outcome
from bridge.iggy.breaker import Permit
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation
from bridge.iggy.frames import FrameError
from bridge.iggy.line import Answer, Line
from bridge.iggy.pool import Lane, Slot
from bridge.iggy.session import IggySession

__all__ = ("QuickWrites", "Written")

Written: TypeAlias = bytes | BridgeError | None
"""The body of the reply; or the error of a write of which nobody knows; or None: surely not written."""


class QuickWrites:
    """Writes over the lines of one connection."""

    def __init__(self, connection: IggyConnection, session: IggySession) -> None:
        self._connection = connection
        self._session = session

    def ready(self, lane: Lane[Line]) -> bool:
        """Whether `begin` has nothing to wait for, and no doubt about the connection."""
        connection = self._connection
        slot = lane.idle
        return (
            slot is not None
            and slot.client is not None
            and not slot.client.closed
            and slot.generation == connection.generation
            and connection.is_clear
            and connection.clock.monotonic_s() - slot.used_at_s <= limits.IGGY_IDLE_S
        )

    def begin(
        self,
        lane: Lane[Line],
        code: int,
        body: bytes,
        operation: Operation,
        *,
        deadline: Deadline,
        ended: Callable[[Written], None],
    ) -> bool:
        """
        Write *body* now; False, and nothing done, if *lane* is not `ready` or the time is up.

        Args:
            ended: called once, after this has returned; by *deadline* at the latest.
        """
        if not self.ready(lane) or not deadline.remaining_s():
            return False
        permit = self._connection.breaker.admit(self._connection.clock.monotonic_s())
        slot = lane.idle
        if not isinstance(permit, Permit) or slot is None or slot.client is None:
            return False
        write = _Write(self, lane, slot, permit, operation, ended)
        slot.client.ask(code, body, write.answered)
        lane.take()
        write.timer = asyncio.get_running_loop().call_later(deadline.remaining_s(), write.expire)
        return True

    def answer(self, write: "_Write", answer: Answer) -> Written:
        """What *answer* means for a write that was handed over."""
        breaker = self._connection.breaker
        if not isinstance(answer, FrameError):
            write.slot.used_at_s = self._connection.clock.monotonic_s()
            breaker.succeeded(write.permit)
            return answer
        error = self._session.understood(
            write.slot, write.slot.generation, str(answer), write.operation, write=True
        ).error
        if isinstance(error, LogError) and error.retryable:
            breaker.abandoned(write.permit)
        else:
            breaker.succeeded(write.permit)
        self._connection.tell_breaker()
        unknown = isinstance(error, LogError) and error.outcome is Outcome.UNKNOWN
        return error if unknown else None

    def silence(self, write: "_Write") -> BridgeError:
        """What the end of the time means for a write that was handed over."""
        write.slot.give_up()
        self._connection.silent(write.permit)
        return DeadlineExceeded(outcome=Outcome.UNKNOWN)


class _Write:
    """One write on its way; the slot is its own until its end."""

    __slots__ = ("_ended", "_lane", "_writes", "operation", "permit", "slot", "timer")

    def __init__(
        self,
        writes: QuickWrites,
        lane: Lane[Line],
        slot: Slot[Line],
        permit: Permit,
        operation: Operation,
        ended: Callable[[Written], None],
    ) -> None:
        self._writes = writes
        self._lane = lane
        self._ended = ended
        self.slot = slot
        self.permit = permit
        self.operation = operation
        self.timer: asyncio.TimerHandle | None = None

    def answered(self, answer: Answer) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._end(self._writes.answer(self, answer))

    def expire(self) -> None:
        self._end(self._writes.silence(self))

    def _end(self, written: Written) -> None:
        self._lane.release(self.slot)
        # The last thing done: what it does may begin the next write.
        self._ended(written)
