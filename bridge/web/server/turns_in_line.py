"""Requests that wait for a place (shell over `policy.admission`): one timer for all of them."""

import asyncio
from collections import deque
from functools import partial

from bridge.clock import Deadline
from bridge.limits import ADMISSION_WAIT_S
from bridge.messagelog.deadline_alarm import DeadlineAlarm
from bridge.policy.admission import Grant


class Turns:
    """Waits of `ADMISSION_WAIT_S` at most, so that who began first ends first."""

    def __init__(self) -> None:
        self._waits: deque[tuple[Deadline, asyncio.Future[bool]]] = deque()
        self._alarm = DeadlineAlarm(self._look)

    async def place(self, grant: Grant, deadline: Deadline) -> bool:
        """Wait for a place; whether there is one.

        There is none where too many wait already, and where *deadline* is too near to wait for it.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if deadline.remaining_s() <= ADMISSION_WAIT_S or not grant.wait(partial(_tell, future, placed=True)):
            return False
        until = Deadline.after(ADMISSION_WAIT_S, deadline.clock)
        self._forget_done()
        self._waits.append((until, future))
        self._alarm.watch(until)
        placed = False
        try:
            placed = await future
        finally:
            if not placed:
                grant.close()
        return placed

    def _forget_done(self) -> None:
        waits = self._waits
        while waits and waits[0][1].done():
            waits.popleft()

    def _look(self) -> tuple[Deadline | None, int]:
        waits, count = self._waits, len(self._waits)
        while waits and (waits[0][1].done() or not waits[0][0].remaining_s()):
            _, future = waits.popleft()
            _tell(future, placed=False)
        return waits[0][0] if waits else None, count


def _tell(future: asyncio.Future[bool], *, placed: bool) -> None:
    # It is done as well where the request was cancelled, which it does not know yet.
    if not future.done():
        future.set_result(placed)
