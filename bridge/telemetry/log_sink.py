"""Lines on their way to a file descriptor (shell): the caller never waits for the reader of stdout.

A descriptor that fails (a full disk, a pipe whose reader is gone) is tried again for as long as the process lives. What
was on its way goes on where it stopped, what comes meanwhile waits, and beyond the bound is dropped and counted.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread
from typing import Any, Final, TypeAlias

from bridge.limits import LOG_LINES_WAITING_MAX

#: Makes lines, each with its end, of what was told for each; all that wait and follow each other in one go.
LinesMaker: TypeAlias = Callable[[list[Any]], bytes]
#: With its end; or what makes it, called by the writing thread, and of what.
Line: TypeAlias = bytes | tuple[LinesMaker, Any]

_AS_IT_IS: Final[LinesMaker] = b"".join
# Lines of so long share one system call, and the writer takes the interpreter lock 50 times a second at most.
_GATHER_S = 0.02
# A descriptor that somebody set non-blocking is tried again after this.
_FULL_PIPE_S = 0.01
# One that fails, after this: for a disk that is full for hours it costs nothing.
_FAILED_WRITE_S = 0.5


class LineSink:
    """A bounded list of lines that one thread writes; beyond the bound lines are dropped and counted.

    Args:
        fd: where the lines go.
        dropped_line: the line that tells how many were dropped.
        again_line: the line that tells what writing failed of, and for how many seconds, once it goes on.
        alone: held while lines are written, where other processes write to *fd* as well.
    """

    def __init__(
        self,
        fd: int,
        dropped_line: Callable[[int], bytes],
        again_line: Callable[[OSError, float], bytes],
        *,
        lines_max: int = LOG_LINES_WAITING_MAX,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._fd = fd
        self._alone = alone
        self._dropped_line = dropped_line
        self._again_line = again_line
        self._lines_max = lines_max
        # Appending and popping are each one step for the interpreter; swapping a list against an append is not.
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._wake = Event()
        self._closing = Event()
        #: From `close` on.
        self.is_closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Take a line; returns at once, from any thread.

        A line made by the writing thread is made among many of its kind, with everything that takes in the
        processor's caches: a line of the access log then costs 3 us where it costs 12 between two steps of a request.
        """
        if len(self._lines) >= self._lines_max:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is waiting and end the thread; gives up after *timeout_s*, since nobody may be reading."""
        self.is_closed = True
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            closing = self._closing.is_set()
            self._wake.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(self._dropped_line(dropped))
            if lines:
                data = self._made(lines)
                with self._alone():
                    self._write_all(data)
            if closing and not self._lines:
                return
            self._closing.wait(_GATHER_S)
            if self._closing.is_set():
                self._wake.set()

    def _made(self, lines: list[Line]) -> bytes:
        # One call for each line took 2,000 instructions more of it.
        made: list[bytes] = []
        run: list[Any] = []
        maker = _AS_IT_IS
        for line in lines:
            make, told = (_AS_IT_IS, line) if isinstance(line, bytes) else line
            if make is not maker:
                made.append(self._made_by(maker, run))
                maker, run = make, []
            run.append(told)
        made.append(self._made_by(maker, run))
        return b"".join(made)

    def _made_by(self, make: LinesMaker, run: list[Any]) -> bytes:
        try:
            return make(run)
        except Exception:  # noqa: BLE001 (a defect in one line must not end all others)
            if len(run) > 1:
                return b"".join([self._made_by(make, [told]) for told in run])
            self._dropped += 1
            return b""

    def _write_all(self, data: bytes) -> None:
        """Write it however long it takes; what failed and is tried in vain until the end is given up."""
        view = memoryview(data)
        failed: OSError | None = None
        failed_at_s = 0.0
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                time.sleep(_FULL_PIPE_S)
            except OSError as error:
                # A disk that is full gets room again, a pipe without a reader may get another one.
                if failed is None:
                    failed, failed_at_s = error, time.monotonic()
                if self._closing.wait(_FAILED_WRITE_S):
                    return
            else:
                if failed is not None and not view:
                    view = memoryview(self._again_line(failed, time.monotonic() - failed_at_s))
                    failed = None
