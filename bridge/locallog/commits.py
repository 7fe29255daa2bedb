"""The writer's connection: transactions, checkpoints, and what is done when there is no space for them (shell)."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import apsw
import structlog

from bridge.clock import Clock
from bridge.errors import BridgeError
from bridge.locallog.catalog import Catalog
from bridge.locallog.changes import Fill, Unfill
from bridge.locallog.faults import DiskFault, fault_of
from bridge.locallog.space import Space
from bridge.locallog.transaction import Change, Transaction

_LOG = structlog.get_logger("bridge.locallog")

Answer: TypeAlias = tuple[Change, Any, BridgeError | None]

# Moves all it can, waits for readers, and the next commit begins the write-ahead log anew.
_RESTART: Final = apsw.SQLITE_CHECKPOINT_RESTART


class CommitFailed(Exception):
    """Nothing of a transaction is stored, unless it failed for good while it was *committing*.

    Attributes:
        fault: what it means; after `DiskFault.FATAL` the connection must not be used any more.
        cause: what SQLite said.
    """

    def __init__(self, fault: DiskFault, cause: Exception, *, committing: bool = False) -> None:
        super().__init__(fault)
        self.fault = fault
        self.cause = cause
        self.committing = committing


class Commits:
    """Used by the writer's thread alone.

    Attributes:
        catalog: what is shown to readers, after each commit.
        space: the disk.
    """

    def __init__(self, connection: apsw.Connection, catalog: Catalog, space: Space, clock: Clock) -> None:
        self.catalog = catalog
        self.space = space
        self._connection = connection
        self._clock = clock
        self._wal_pages = 0
        self._checkpoint_at_pages = space.checkpoint_pages
        connection.set_wal_hook(self._committed_pages)

    def commit(self, changes: Sequence[Change]) -> list[Answer]:
        """All of *changes* in one transaction, and what each of them gave; what was withdrawn is left out.

        Where there is no space it is made, and all is tried once more: the write-ahead log begins anew, and for what
        frees space the reserve is given.

        Raises:
            CommitFailed: nothing of them is stored, unless that is unknown.
        """
        try:
            return self._attempt(changes)
        except CommitFailed as failed:
            if failed.fault is not DiskFault.FULL:
                raise
        frees = all(change.frees for change in changes)
        self._make_room(frees=frees)
        answers = self._attempt(changes)
        if frees:
            self._adjust_space(unmoved_pages=self._wal_pages)
        return answers

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database if it has grown long.

        Raises:
            CommitFailed: if the disk fails; no space and a reader that holds it back are waited out.
        """
        if self._wal_pages < self._checkpoint_at_pages:
            return
        unmoved_pages = self._moved(apsw.SQLITE_CHECKPOINT_PASSIVE)
        # What holds it back may do so for long; then it is tried again after as many pages more, not after every commit.
        self._checkpoint_at_pages = self.space.checkpoint_pages + (self._wal_pages if unmoved_pages else 0)
        self._adjust_space(unmoved_pages=unmoved_pages)

    def has_room(self) -> bool:
        """Whether a log that was full can be written again, shown by writing.

        Raises:
            CommitFailed: if the disk fails.
        """
        self._adjust_space(unmoved_pages=self._wal_pages)
        try:
            if not self.space.may_hold(self._connection, self.space.proof_bytes):
                return False
            self.commit([Fill(self.space.proof_bytes)])
            self.commit([Unfill()])
        except apsw.Error as error:
            self._wait_out(error)
            return False
        except CommitFailed as failed:
            if failed.fault is DiskFault.FATAL:
                raise
            return False
        return True

    def close(self, *, failed: bool) -> None:
        """Move the write-ahead log into the database, unless that *failed*, and let go of it."""
        if failed:
            # By itself SQLite would move it now: sync anew what could not be synced, and delete the only whole copy of it.
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        else:
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.Error:
                # What it would have moved is safe where it is, and is moved after the next start.
                _LOG.warning("write_ahead_log_left_for_the_next_start")
        self._connection.close(True)

    def _attempt(self, changes: Sequence[Change]) -> list[Answer]:
        answers: list[Answer] = []
        committing = False
        try:
            transaction = Transaction(self._connection, self.catalog, self._clock.now_us())
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
                    change.publish(self.catalog)
            transaction.publish()
        except Exception as error:
            raise self._taken_back(error, committing=committing) from error
        return answers

    def _taken_back(self, error: Exception, *, committing: bool) -> CommitFailed:
        fault = self._fault_of(error)
        if fault is not DiskFault.FATAL:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
            except apsw.Error as rollback_error:
                fault, error = DiskFault.FATAL, rollback_error
        return CommitFailed(fault, error, committing=committing)

    def _make_room(self, *, frees: bool) -> None:
        try:
            if frees or self.space.wal_is_short(self._connection, unmoved_pages=self._wal_pages):
                self.space.release()
            if frees:
                self.space.lift(self._connection)
        except apsw.Error as error:
            self._wait_out(error)
        unmoved_pages = self._moved(_RESTART)
        if not frees:
            self._adjust_space(unmoved_pages=unmoved_pages)

    def _moved(self, mode: int) -> int:
        """Move what can be moved; the pages of the write-ahead log that must stay where they are."""
        try:
            try:
                pages, moved = self._connection.wal_checkpoint(mode=mode)
            except apsw.Error as error:
                if self._fault_of(error) is not DiskFault.FULL or not self.space.release():
                    raise
                # Others took what it needs: what was acknowledged has the first claim on the reserve.
                pages, moved = self._connection.wal_checkpoint(mode=mode)
        except apsw.Error as error:
            self._wait_out(error)
            return self._wal_pages
        if mode == _RESTART:
            self._wal_pages = 0
        return max(0, pages - moved)

    def _adjust_space(self, *, unmoved_pages: int) -> None:
        try:
            self.space.adjust(self._connection, unmoved_pages=unmoved_pages)
        except apsw.Error as error:
            self._wait_out(error)

    def _wait_out(self, error: apsw.Error) -> None:
        """Go on as it is; the next commit finds out.

        Raises:
            CommitFailed: if there is nothing to wait for.
        """
        if self._fault_of(error) is DiskFault.FATAL:
            raise CommitFailed(DiskFault.FATAL, error) from error

    def _fault_of(self, error: Exception) -> DiskFault:
        return fault_of(error, self._connection.system_errno)

    def _committed_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK
