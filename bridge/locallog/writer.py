"""
The one thread that writes: everything that waits goes into one transaction, then all are told at once (shell).

    open --no space--> full --a later commit--> open
    open, full --any other error--> failed        (stays; the process is to end with exit 70)
    any --close--> closed
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final, TypeAlias

import apsw
import structlog

from bridge import limits
from bridge.clock import Clock, Deadline
from bridge.errors import BridgeError, ConnectionFailed, DeadlineExceeded, Outcome, Overloaded
from bridge.locallog.catalog import Catalog
from bridge.locallog.changes import Purge
from bridge.locallog.completions import Completions
from bridge.locallog.faults import Fault, fault_of
from bridge.locallog.transaction import Change, Told, Transaction

__all__ = ("LogState", "Writer")

_LOG = structlog.get_logger("bridge.locallog")
_BUSY_RETRY_MS: Final = 1_000
_FULL_RETRY_MS: Final = 5_000


class LogState(StrEnum):
    OPEN = "open"
    FULL = "full"
    FAILED = "failed"
    CLOSED = "closed"


_Answer: TypeAlias = tuple[Change, Any, BridgeError | None]


class _Stop(Change):
    """The end of the queue: what came before is done first."""

    __slots__ = ()
    alone: ClassVar[bool] = True


_STOP: Final = _Stop()


class Writer:
    """
    Takes changes on the event loop, makes them durable on its thread.

    Attributes:
        state: read from any thread.
        failure: what made the state `FAILED`.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        catalog: Catalog,
        completions: Completions,
        *,
        clock: Clock,
        state_changed: Callable[[LogState], None],
    ) -> None:
        self.state = LogState.OPEN
        self.failure: Exception | None = None
        self._connection = connection
        self._catalog = catalog
        self._completions = completions
        self._clock = clock
        self._state_changed = state_changed
        self._queue: SimpleQueue[Change] = SimpleQueue()
        self._held: list[Change] = []
        self._claims = threading.Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self._wal_pages = 0
        self._checkpoint_at_pages = limits.LOCAL_CHECKPOINT_PAGES
        connection.set_wal_hook(self._committed_pages)
        self._thread = threading.Thread(target=self._serve, name="log-writer", daemon=True)
        self._thread.start()

    async def perform(self, change: Change, *, deadline: Deadline) -> Any:
        """
        Do *change* durably and give its result.

        Raises:
            Overloaded: if too much waits, there is no space, or another process holds the database.
            ConnectionFailed: if the log failed.
            DeadlineExceeded: if the time is up.
            BridgeError: what the change itself refuses.
        """
        self._admit(change)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._begin(change, deadline, partial(_settle, future))
        try:
            return await future
        finally:
            if change.timer is not None:
                change.timer.cancel()

    def begin(self, change: Change, *, deadline: Deadline, told: Told) -> bool:
        """
        As `perform`, without waiting: *told* is called once with its result or error, after this has returned.

        False, and nothing done, where `perform` would raise at once.
        """
        if self._refusal(change) is not None:
            return False
        self._begin(change, deadline, told)
        return True

    async def close(self) -> None:
        """Finish what was accepted, move the write-ahead log into the database, let go of it; called once, last."""
        self._queue.put(_STOP)
        await asyncio.to_thread(self._thread.join)

    def _admit(self, change: Change) -> None:
        refusal = self._refusal(change)
        if refusal is not None:
            raise refusal

    def _refusal(self, change: Change) -> BridgeError | None:
        if self.state is LogState.FAILED:
            return _stopped(Outcome.NOT_WRITTEN)
        if (
            self._waiting >= limits.LOCAL_APPENDS_WAITING_MAX
            or self._waiting_bytes + change.size_bytes > limits.LOCAL_BYTES_WAITING_MAX
        ):
            return Overloaded(
                "Too many writes are waiting.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=_BUSY_RETRY_MS
            )
        return None

    def _begin(self, change: Change, deadline: Deadline, told: Told) -> None:
        change.told = told
        change.timer = asyncio.get_running_loop().call_later(deadline.remaining_s(), self._expire, change)
        self._waiting += 1
        self._waiting_bytes += change.size_bytes
        self._queue.put(change)

    def _expire(self, change: Change) -> None:
        with self._claims:
            change.withdrawn = not change.taken
        told, change.told = change.told, None
        if told is not None:
            outcome = Outcome.NOT_WRITTEN if change.withdrawn else Outcome.UNKNOWN
            told(None, DeadlineExceeded(outcome=outcome))

    # --- the writer's thread --- --------------------------------------------------------------------------------

    def _serve(self) -> None:
        while (changes := self._take())[0] is not _STOP:
            if self.state is LogState.FAILED:
                self._refuse(changes, lambda: _stopped(Outcome.NOT_WRITTEN))
            else:
                self._commit(changes)
                self._checkpoint()
        self._let_go()

    def _take(self) -> Sequence[Change]:
        """What waits, up to one transaction's worth; a change that must be alone comes alone."""
        first = self._next()
        batch = [first]
        if first.alone:
            return batch
        messages_count, size_bytes = first.messages_count, first.size_bytes
        while (
            messages_count < limits.LOCAL_COMMIT_MESSAGES_MAX and size_bytes < limits.LOCAL_COMMIT_BYTES_MAX
        ):
            try:
                change = self._queue.get_nowait()
            except Empty:
                break
            if change.alone:
                self._held.append(change)
                break
            batch.append(change)
            messages_count += change.messages_count
            size_bytes += change.size_bytes
        return batch

    def _next(self) -> Change:
        if self._held:
            return self._held.pop()
        if not self._catalog.purges or self.state is not LogState.OPEN:
            return self._queue.get()
        # Between other work, a slice at a time: whoever comes waits for one slice at most.
        try:
            change = self._queue.get_nowait()
        except Empty:
            return Purge()
        if change is _STOP:
            return change
        self._held.append(change)
        return Purge()

    def _commit(self, changes: Sequence[Change]) -> None:
        with self._claims:
            for change in changes:
                change.taken = not change.withdrawn
        answers: list[_Answer] = []
        committing = False
        try:
            transaction = Transaction(self._connection, self._catalog, self._clock.now_us())
            self._connection.execute("begin immediate")
            for change in changes:
                try:
                    answers.append((change, change.apply(transaction) if change.taken else None, None))
                except BridgeError as refusal:
                    answers.append((change, None, refusal))
            transaction.flush()
            committing = True
            self._connection.execute("commit")
            for change, _, refused in answers:
                if refused is None and change.taken:
                    change.publish(self._catalog)
            transaction.publish()
        except Exception as error:  # noqa: BLE001 (whatever it is, nobody may wait for ever, nothing may be acknowledged)
            self._refuse(changes, self._give_up(error, committing=committing))
            return
        if self.state is LogState.FULL:
            # Before the answers: whoever is told that the log takes messages again finds it so.
            self._enter(LogState.OPEN)
        self._answer(answers)

    def _give_up(self, error: Exception, *, committing: bool) -> Callable[[], BridgeError]:
        """Take the transaction back; gives what each of its callers is told."""
        fault = fault_of(error)
        if fault is not Fault.FATAL:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
            except apsw.Error as rollback_error:
                fault, error = Fault.FATAL, rollback_error
        if fault is Fault.FULL:
            self._enter(LogState.FULL)
            return _no_space
        if fault is Fault.BUSY:
            return _held_elsewhere
        self._fail(error)
        outcome = Outcome.UNKNOWN if committing else Outcome.NOT_WRITTEN
        return lambda: _stopped(outcome)

    def _checkpoint(self) -> None:
        if self._wal_pages < self._checkpoint_at_pages or self.state is LogState.FAILED:
            return
        try:
            pages, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            if fault_of(error) is Fault.FATAL:
                self._fail(error)
                return
            pages, moved = self._wal_pages, 0
        # Readers may hold it back; then it is tried again after as many pages more, not after every commit.
        self._checkpoint_at_pages = limits.LOCAL_CHECKPOINT_PAGES + (0 if moved >= pages else pages)

    def _let_go(self) -> None:
        if self.state is not LogState.FAILED:
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.Error:
                # What it would have moved is safe where it is, and is moved after the next start.
                _LOG.warning("write-ahead log left for the next start")
        self._connection.close(True)
        self._enter(LogState.CLOSED)

    def _committed_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _fail(self, error: Exception) -> None:
        _LOG.error("embedded log failed", error=type(error).__name__)
        self.failure = error
        self._enter(LogState.FAILED)

    def _enter(self, state: LogState) -> None:
        if self.state is not state:
            self.state = state
            self._completions.post(lambda: self._state_changed(state))

    def _refuse(self, changes: Iterable[Change], make_error: Callable[[], BridgeError]) -> None:
        self._answer([(change, None, make_error()) for change in changes])

    def _answer(self, answers: Sequence[_Answer]) -> None:
        self._completions.post(lambda: self._tell(answers))

    def _tell(self, answers: Sequence[_Answer]) -> None:
        for change, value, error in answers:
            timer = change.timer
            if timer is None:
                # One of the writer's own.
                continue
            timer.cancel()
            self._waiting -= 1
            self._waiting_bytes -= change.size_bytes
            told, change.told = change.told, None
            if told is not None:
                told(value, error)


def _settle(future: asyncio.Future[Any], value: Any, error: BridgeError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _stopped(outcome: Outcome) -> BridgeError:
    return ConnectionFailed("The embedded log stopped after a fault of its disk.", outcome=outcome)


def _no_space() -> BridgeError:
    return Overloaded(
        "There is no space left for the log.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=_FULL_RETRY_MS
    )


def _held_elsewhere() -> BridgeError:
    return Overloaded(
        "The log is held by another program.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=_BUSY_RETRY_MS
    )
