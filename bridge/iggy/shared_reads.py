"""Many who ask for the same page at once share one request (shell)."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, LogError, Overloaded
from bridge.limits import IGGY_READS_SHARING_MAX
from bridge.messagelog.deadline_alarm import DeadlineAlarm

T = TypeVar("T")


class _Turn(Generic[T]):
    """One request: those who share its answer, and those who came when it was on its way already."""

    __slots__ = ("late", "page", "sharers")

    def __init__(self, page: Hashable, sharers: "list[asyncio.Future[_Outcome[T]]]") -> None:
        self.page = page
        self.sharers = sharers
        self.late: list[asyncio.Future[_Outcome[T]]] = []


#: A caller's turn to ask itself, or the answer somebody else got.
_Outcome = _Turn[T] | tuple[T]


class SharedReads(Generic[T]):
    """At most one request for each page is on its way; who comes meanwhile shares the next one.

    An answer is given only to those who asked before its request was made, so everybody sees what was acknowledged
    to anybody before. Eight pollers of one page cost two requests instead of eight; a request costs 400 us of CPU
    in the SDK and its threads, and the rest of a poll 250 us (measured).
    Who waits is told in the first look after his deadline: `LOOK_PAUSE_MIN_S` later at most, or `LOOK_PAUSE_S` for each who
    waits (16 ms for all of `IGGY_READS_SHARING_MAX`).

    Args:
        too_late: makes the error of one whose time is up while another's request is waited for.
    """

    def __init__(self, too_late: Callable[[], LogError] = DeadlineExceeded) -> None:
        self._too_late = too_late
        self._turns: dict[Hashable, _Turn[T]] = {}
        self._waiting: dict[asyncio.Future[_Outcome[T]], Deadline] = {}
        self._alarm = DeadlineAlarm(self._look)

    async def read(self, page: Hashable, ask: Callable[[], Awaitable[T]], *, deadline: Deadline) -> T:
        """What *ask* gives, asked by this caller or by one who wants the same *page*.

        A caller whose request failed fails alone: the others ask again.

        Raises:
            Overloaded: if too many wait.
            LogError: what *too_late* makes.
        """
        turn = self._turns.get(page)
        if turn is None:
            turn = self._turns[page] = _Turn(page, [])
        else:
            outcome = await self._wait(turn, deadline)
            if not isinstance(outcome, _Turn):
                return outcome[0]
            turn = outcome
        answer: tuple[T] | None = None
        try:
            answer = (await ask(),)
        finally:
            self._end(turn, answer)
        return answer[0]

    async def _wait(self, turn: _Turn[T], deadline: Deadline) -> "_Outcome[T]":
        if len(self._waiting) >= IGGY_READS_SHARING_MAX:
            raise Overloaded(retry_after_ms=1000)
        future: asyncio.Future[_Outcome[T]] = asyncio.get_running_loop().create_future()
        turn.late.append(future)
        self._waiting[future] = deadline
        self._alarm.watch(deadline)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                outcome = future.result()
                if isinstance(outcome, _Turn):
                    # This caller's turn came as it was cancelled: the next one's, then.
                    self._end(outcome, None)
            raise
        finally:
            del self._waiting[future]

    def _end(self, turn: _Turn[T], answer: tuple[T] | None) -> None:
        if answer is None:
            waiting = turn.sharers + turn.late
        else:
            waiting = turn.late
            for sharer in turn.sharers:
                if not sharer.done():
                    sharer.set_result(answer)
        waiting = [future for future in waiting if not future.done()]
        if not waiting:
            del self._turns[turn.page]
            return
        self._turns[turn.page] = following = _Turn(turn.page, waiting[1:])
        waiting[0].set_result(following)

    def _look(self) -> tuple[Deadline | None, int]:
        first: Deadline | None = None
        for future, deadline in self._waiting.items():
            if future.done():
                continue
            if not deadline.remaining_s():
                future.set_exception(self._too_late())
            elif first is None or deadline.at_s < first.at_s:
                first = deadline
        return first, len(self._waiting)
