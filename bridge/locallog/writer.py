"""The one thread that writes: everything that waits goes into one transaction, then all are told at once (shell).

    open --no space--> full --a later write of some size--> open
    open, full --any other error--> failed        (stays; the process is to end with exit 70)
    any --close--> closed

A full log refuses what can only need space, at once; it takes what frees some, and removes what was deleted.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError, ConnectionFailed, DeadlineExceeded, Outcome, Overloaded
from bridge.locallog.changes import Probe, Purge
from bridge.locallog.commits import Answer, CommitFailed, Commits
from bridge.locallog.completions import Completions
from bridge.locallog.faults import DiskFault, disk_full
from bridge.locallog.transaction import Change
from bridge.messagelog.deadline_alarm import DeadlineAlarm

_LOG = structlog.get_logger("bridge.locallog")
_BUSY_RETRY_MS: Final = 1_000

FULL_ADVICE: Final = (
    "There is no space left for the log: what is there can be read and deleted. Delete topics or messages, keep them for"
    " shorter, or make room on the disk of DATA_DIR."
)


class LogState(StrEnum):
    OPEN = "open"
    FULL = "full"
    FAILED = "failed"
    CLOSED = "closed"


# By names of their own: to find a member of an enumeration takes 800 instructions, and one append alone looks eight times.
_OPEN, _FULL, _FAILED = LogState.OPEN, LogState.FULL, LogState.FAILED


class _Stop(Change):
    """The end of the queue: what came before is done first."""


_STOP: Final = _Stop()


class Writer:
    """Takes changes on the event loop, makes them durable on its thread.

    Attributes:
        state: read from any thread.
        failure: what made the state `FAILED`.

    Args:
        full: it is known already that there is no space.
    """

    def __init__(
        self,
        commits: Commits,
        completions: Completions,
        *,
        state_changed: Callable[[LogState], None],
        full: bool = False,
    ) -> None:
        self.state = _OPEN
        self.failure: Exception | None = None
        self._commits = commits
        self._completions = completions
        self._state_changed = state_changed
        self._queue: SimpleQueue[Change] = SimpleQueue()
        self._held: list[Change] = []
        self._claims = threading.Lock()
        # Those whose callers have no answer yet, in the order in which they came, and what they hold.
        self._waiting: dict[Change, None] = {}
        self._waiting_bytes = 0
        self._alarm = DeadlineAlarm(self._look_at_deadlines)
        # Rows that nobody can reach any more could not be removed; they are not tried again before something else could.
        self._stalled = False
        if full:
            self._enter(_FULL)
        self._thread = threading.Thread(target=self._serve, name="log-writer", daemon=True)
        self._thread.start()

    async def perform(self, change: Change, *, deadline: Deadline) -> Any:
        """Do *change* durably and give its result.

        Raises:
            Overloaded: if too much waits, there is no space, or another process holds the database.
            ConnectionFailed: if the log failed.
            DeadlineExceeded: if the time is up.
            BridgeError: what the change itself refuses.
        """
        self._admit(change)
        change.future = self._completions.loop.create_future()
        change.deadline = deadline
        self._waiting[change] = None
        self._waiting_bytes += change.size_bytes
        self._alarm.watch(deadline)
        self._queue.put(change)
        return await change.future

    async def close(self) -> None:
        """Finish what was accepted, move the write-ahead log into the database, let go of it; called once, last."""
        self._queue.put(_STOP)
        await asyncio.to_thread(self._thread.join)
        self._alarm.stop()

    def _admit(self, change: Change) -> None:
        if self.state is _FAILED:
            raise _stopped(Outcome.NOT_WRITTEN)
        if self.state is _FULL and change.grows:
            raise disk_full()
        if (
            len(self._waiting) >= limits.LOCAL_APPENDS_WAITING_MAX
            or self._waiting_bytes + change.size_bytes > limits.LOCAL_BYTES_WAITING_MAX
        ):
            raise Overloaded(
                "Too many writes are waiting.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=_BUSY_RETRY_MS
            )

    def _look_at_deadlines(self) -> tuple[Deadline | None, int]:
        first: Deadline | None = None
        for change in self._waiting:
            # Whoever was cancelled left it to the writer.
            if change.deadline is None or change.future.done():
                continue
            if not change.deadline.remaining_s():
                self._expire(change)
            elif first is None or change.deadline.at_s < first.at_s:
                first = change.deadline
        return first, len(self._waiting)

    def _expire(self, change: Change) -> None:
        with self._claims:
            change.withdrawn = not change.taken
        outcome = Outcome.NOT_WRITTEN if change.withdrawn else Outcome.UNKNOWN
        change.future.set_exception(DeadlineExceeded(outcome=outcome))

    # --- the writer's thread --- --------------------------------------------------------------------------------

    def _serve(self) -> None:
        while (changes := self._take())[0] is not _STOP:
            if self.state is _FAILED:
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
        if not self._commits.catalog.purges or self._stalled:
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
        if self.state is _FULL:
            changes = self._without_growing(changes)
            if not changes:
                return
        try:
            answers = self._commits.commit(changes)
        except CommitFailed as failed:
            self._refuse(changes, self._give_up(failed, changes))
            return
        self._stalled = False
        if self.state is _FULL and (changes[0].frees or isinstance(changes[0], Probe)):
            # Before the answers: whoever is told that the log takes messages again finds it so.
            self._look_again()
        self._answer(answers)

    def _look_again(self) -> None:
        try:
            if self._commits.has_room():
                self._enter(_OPEN)
        except CommitFailed as failed:
            self._fail(failed.cause)

    def _without_growing(self, changes: Sequence[Change]) -> list[Change]:
        """What a full log tries all the same; the rest is refused."""
        self._refuse([change for change in changes if change.grows], disk_full)
        return [change for change in changes if not change.grows]

    def _give_up(self, failed: CommitFailed, changes: Sequence[Change]) -> Callable[[], BridgeError]:
        """Draw the consequences; gives what each of the callers is told."""
        self._stalled = True
        if failed.fault is DiskFault.BUSY:
            return _held_elsewhere
        if failed.fault is DiskFault.FULL:
            size_bytes = sum(change.size_bytes for change in changes)
            try:
                # One that is too large for what is left leaves the others theirs.
                if size_bytes <= self._commits.space.proof_bytes or not self._commits.has_room():
                    self._enter(_FULL)
            except CommitFailed as failed_for_good:
                self._fail(failed_for_good.cause)
            return disk_full
        self._fail(failed.cause)
        outcome = Outcome.UNKNOWN if failed.committing else Outcome.NOT_WRITTEN
        return lambda: _stopped(outcome)

    def _checkpoint(self) -> None:
        if self.state is _FAILED:
            return
        try:
            self._commits.checkpoint()
        except CommitFailed as failed:
            self._fail(failed.cause)

    def _let_go(self) -> None:
        self._commits.close(failed=self.state is _FAILED)
        self._enter(LogState.CLOSED)

    def _fail(self, error: Exception) -> None:
        _LOG.error("embedded_log_failed", error=type(error).__name__)
        self._stalled = True
        self.failure = error
        self._enter(_FAILED)

    def _enter(self, state: LogState) -> None:
        if self.state is not state:
            if state is _FULL:
                _LOG.warning(
                    "embedded_log_full", free_bytes=self._commits.space.free_bytes, advice=FULL_ADVICE
                )
            elif self.state is _FULL and state is _OPEN:
                _LOG.info("embedded_log_has_space_again")
            self.state = state
            self._completions.post(lambda: self._state_changed(state))

    def _refuse(self, changes: Iterable[Change], make_error: Callable[[], BridgeError]) -> None:
        self._answer([(change, None, make_error()) for change in changes])

    def _answer(self, answers: Sequence[Answer]) -> None:
        self._completions.post(lambda: self._tell(answers))

    def _tell(self, answers: Sequence[Answer]) -> None:
        for change, value, error in answers:
            if change.deadline is None:
                # One of the writer's own.
                continue
            del self._waiting[change]
            self._waiting_bytes -= change.size_bytes
            future = change.future
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


def _stopped(outcome: Outcome) -> BridgeError:
    return ConnectionFailed("The embedded log stopped after a fault of its disk.", outcome=outcome)


def _held_elsewhere() -> BridgeError:
    return Overloaded(
        "The log is held by another program.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=_BUSY_RETRY_MS
    )
