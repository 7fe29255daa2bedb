"""The threads that read, each with its own connection (shell)."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw
import structlog

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded, Overloaded, PollError
from bridge.limits import LOCAL_READS_WAITING_MAX
from bridge.locallog.chunks import DamagedChunk
from bridge.locallog.completions import Completions

_LOG = structlog.get_logger("bridge.locallog")
_RETRY_AFTER_MS = 1_000

T = TypeVar("T")
Query = Callable[[apsw.Connection], T]


class Readers:
    """A bounded number of reads at a time, a bounded number of waiting ones."""

    def __init__(self, connections: list[apsw.Connection], completions: Completions) -> None:
        self._queue: SimpleQueue[tuple[Query[Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._completions = completions
        self._waiting = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(connection,), name=f"log-reader-{number}", daemon=True)
            for number, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, query: Query[T], *, deadline: Deadline) -> T:
        """The value of *query*, called on one of the threads.

        Raises:
            Overloaded: if too many wait already.
            DeadlineExceeded: if the time is up.
            PollError: if what is stored cannot be read.
        """
        if self._waiting >= LOCAL_READS_WAITING_MAX:
            raise Overloaded("Too many reads are waiting.", retry_after_ms=_RETRY_AFTER_MS)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting += 1
        self._queue.put((query, future))
        timer = loop.call_later(deadline.remaining_s(), _expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Serve what waits, then close the connections."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _serve(self, connection: apsw.Connection) -> None:
        while (read := self._queue.get()) is not None:
            query, future = read
            value: Any = None
            error: PollError | None = None
            # Whoever gave up before its turn costs no read.
            if not future.done():
                try:
                    value = query(connection)
                except DamagedChunk:
                    error = damaged()
                except Exception as cause:  # noqa: BLE001 (whatever it is, somebody waits for an answer)
                    _LOG.exception("read_failed")
                    error = PollError("The stored messages could not be read.")
                    error.__cause__ = cause
            self._completions.post(partial(self._tell, future, value, error))
        connection.close()

    def _tell(self, future: asyncio.Future[Any], value: Any, error: PollError | None) -> None:
        self._waiting -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def damaged() -> PollError:
    """What is told of messages that are not as they were written; the log says so too."""
    _LOG.error("stored_messages_are_damaged")
    return PollError("The messages stored here are damaged.")


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded())
