"""
Reads over a line that is there (shell).

Whatever is not plain sailing (no connection, a slot without a line, one that broke) is left to the session, which dials
and tries again: a read may be repeated.
"""

import asyncio
from functools import partial

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, LogError
from bridge.iggy.breaker import Permit
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation
from bridge.iggy.line import Answer, Line
from bridge.iggy.pool import Lane, Slot
from bridge.iggy.session import IggySession
from bridge.iggy.state import State

__all__ = ("QuickReads",)


class QuickReads:
    """
    Reads over the read lane of one connection.

    A poll of 100 takes 15 to 25 us of CPU less than by the session (230 to 260 there), most of it what `asyncio.timeout`
    and the ways not taken cost.
    """

    __slots__ = ("_connection", "_lane", "_session")

    def __init__(self, connection: IggyConnection, session: IggySession) -> None:
        self._connection = connection
        self._session = session
        self._lane: Lane[Line] = connection.read_lane

    async def read(self, code: int, body: bytes, operation: Operation, *, deadline: Deadline) -> bytes | None:
        """
        The reply; None if the session is to be asked instead.

        Raises:
            BridgeError: why there is none; `DeadlineExceeded` if it did not come in time.
            Overloaded: if too many wait.
        """
        connection, left_s = self._connection, deadline.remaining_s()
        begun_s = connection.clock.monotonic_s()
        if (
            not left_s
            or not connection.is_clear
            or not isinstance(permit := connection.breaker.admit(begun_s), Permit)
        ):
            return None
        try:
            slot = await self._lane.acquire(write=False, timeout_s=left_s)
        except TimeoutError:
            # A queue that did not move in all that time is the log's silence too; a long one is not.
            if not self._lane.answered_since(begun_s):
                connection.silent(permit)
            raise DeadlineExceeded from None
        try:
            client, left_s = slot.client, deadline.remaining_s()
            # The connection may have gone while this read queued.
            if client is None or client.closed or connection.state is not State.CONNECTED or not left_s:
                return None
            answer = await self._answer(client, slot, code, body, left_s)
            return self._understood(slot, permit, operation, answer)
        finally:
            self._lane.release(slot)

    async def _answer(
        self, client: Line, slot: Slot[Line], code: int, body: bytes, left_s: float
    ) -> Answer | None:
        """None if it did not come in time; the line, which owes it, then is given up."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer | None] = loop.create_future()
        settle = partial(_settle, answer)
        client.ask(code, body, settle)
        timer = loop.call_later(left_s, settle, None)
        try:
            found = await answer
        finally:
            timer.cancel()
            if answer.cancelled() or not answer.done() or answer.result() is None:
                slot.give_up()
        return found

    def _understood(
        self, slot: Slot[Line], permit: Permit, operation: Operation, answer: Answer | None
    ) -> bytes | None:
        connection = self._connection
        if isinstance(answer, bytes):
            slot.used_at_s = connection.clock.monotonic_s()
            connection.breaker.succeeded(permit)
            return answer
        if answer is None:
            connection.silent(permit)
            raise DeadlineExceeded
        fault = self._session.understood(slot, slot.generation, str(answer), operation, write=False)
        if fault.repeatable:
            return None
        if not (isinstance(fault.error, LogError) and fault.error.retryable):
            connection.breaker.succeeded(permit)
        raise fault.error


def _settle(future: "asyncio.Future[Answer | None]", answer: Answer | None) -> None:
    if not future.done():
        future.set_result(answer)
