"""How long the calls of a session take: one timer ends those whose time is up, and tells of long silence (shell)."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from bridge.clock import Deadline
from bridge.limits import IGGY_SILENCE_S
from bridge.messagelog.deadline_alarm import DeadlineAlarm


class CallTimes:
    """The calls under way.

    None is ended before its deadline, and each in the first look after that: `LOOK_PAUSE_MIN_S` later at most, or `LOOK_PAUSE_S`
    for each call under way. Lanes and those who wait for the connection bound their number (51,546, so 0.21 s).

    Args:
        silent: called when a call has been without an answer for `IGGY_SILENCE_S`, once for each `CallTime.ask`.
    """

    def __init__(self, silent: Callable[[], None]) -> None:
        self._silent = silent
        self.calls: set[CallTime] = set()
        self.alarm = DeadlineAlarm(self._look)

    def _look(self) -> tuple[Deadline | None, int]:
        first: Deadline | None = None
        for call in self.calls:
            silent_at = call.silent_at
            if silent_at is not None and not silent_at.remaining_s():
                call.silent_at = silent_at = None
                self._silent()
            if call.expired:
                continue
            due = call.deadline
            if not due.remaining_s():
                call.expire()
                continue
            if silent_at is not None and silent_at.at_s < due.at_s:
                due = silent_at
            if first is None or due.at_s < first.at_s:
                first = due
        return first, len(self.calls)


class CallTime:
    """Around all that one call waits for: what waits when the deadline has come is cancelled, as by `asyncio.timeout`.

    Attributes:
        silent_at: when the silence is to be told, None while nothing is asked.
        expired: whether the time was up before the call was over.

    Raises:
        TimeoutError: at its end, if nothing else cancelled the task as well.
    """

    __slots__ = ("_cancelling", "_task", "_times", "deadline", "expired", "silent_at")
    _task: asyncio.Task[object]

    def __init__(self, times: CallTimes, deadline: Deadline) -> None:
        self._times = times
        self.deadline = deadline
        self.silent_at: Deadline | None = None
        self.expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call must be made by a task")
        self._task, self._cancelling = task, task.cancelling()
        self._times.calls.add(self)
        self._times.alarm.watch(self.deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._times.calls.remove(self)
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def ask(self, at_s: float) -> None:
        """From *at_s* an answer is waited for, until `silent_at` is taken away."""
        self.silent_at = Deadline(at_s + IGGY_SILENCE_S, self.deadline.clock)
        self._times.alarm.watch(self.silent_at)

    def expire(self) -> None:
        """The time is up."""
        self.expired = True
        self._task.cancel()
