"""Many who ask for the same page at once share one request (shell)."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, LogError, Overloaded
from bridge.limits import IGGY_READS_SHARING_MAX

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

    Args:
        too_late: makes the error of one whose time is up while another's request is waited for.
    """

    def __init__(self, too_late: Callable[[], LogError] = DeadlineExceeded) -> None:
        self._too_late = too_late
        self._turns: dict[Hashable, _Turn[T]] = {}
        self._waiting = 0

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
        if self._waiting >= IGGY_READS_SHARING_MAX:
            raise Overloaded(retry_after_ms=1000)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Outcome[T]] = loop.create_future()
        turn.late.append(future)
        timer = loop.call_later(deadline.remaining_s(), self._expire, future)
        self._waiting += 1
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
            self._waiting -= 1
            timer.cancel()

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

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            future.set_exception(self._too_late())
