"""Records that this process told, until the ledger says what they did (shell)."""

import asyncio
import copy
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from bridge.errors import DeadlineExceeded, LogError, Outcome
from bridge.groups.ledger import AppliedRecord, Result
from bridge.groups.records import Lease, Record

__all__ = ("PendingRecords", "RandomIds", "with_outcome")

# Leases whose callers left before their result was known.
_ORPHANS_MAX: Final = 10_000
# A reading for many ids.
_RANDOM_NUMBERS: Final = 256


class RandomIds:
    """Ids that nobody guesses."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[int] = []

    def next(self) -> int:
        """1..2^63-1."""
        if not self._left:
            # One call for many: by itself each took 90 us beside busy threads, since it lets go of the interpreter.
            numbers = struct.unpack(f">{_RANDOM_NUMBERS}Q", secrets.token_bytes(8 * _RANDOM_NUMBERS))
            self._left = [number >> 1 or 1 for number in numbers]
        return self._left.pop()


class PendingRecords:
    """
    Who waits for what.

    Attributes:
        on_orphan: called with a lease that was given after its caller had left.
    """

    def __init__(self) -> None:
        self.on_orphan: Callable[[AppliedRecord], None] = lambda _applied: None
        self._results: dict[int, asyncio.Future[Result]] = {}
        self._orphans: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._results)

    def expect(self, record: Record) -> "asyncio.Future[Result]":
        """What *record* will have done; until `end`."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._results[record.id] = future
        return future

    def end(self, record: Record, *, may_be_there: bool) -> None:
        """
        Nobody waits for *record* any more.

        Args:
            may_be_there: it may stand in the ledger though its caller heard nothing of it.
        """
        future = self._results.pop(record.id)
        if may_be_there and isinstance(record, Lease):
            self._orphaned(record, future)
        if future.done() and not future.cancelled():
            # Looked at even where the caller was cancelled in the same moment, so that nothing warns of it.
            future.exception()

    def folded(self, folded: AppliedRecord) -> None:
        """The ledger says what a record did."""
        record_id = folded.record.id
        told = self._results.get(record_id)
        if told is not None and not told.done():
            told.set_result(folded.result)
        elif record_id in self._orphans:
            del self._orphans[record_id]
            self.on_orphan(folded)

    def fail(self, error: LogError) -> None:
        """Nobody will learn any more what was done."""
        for told in self._results.values():
            if not told.done():
                told.set_exception(with_outcome(error, Outcome.UNKNOWN))

    def _orphaned(self, record: Lease, future: "asyncio.Future[Result]") -> None:
        if future.done() and not future.cancelled() and future.exception() is None:
            self.on_orphan(AppliedRecord(record, future.result()))
            return
        self._orphans[record.id] = None
        if len(self._orphans) > _ORPHANS_MAX:
            self._orphans.popitem(last=False)

    @staticmethod
    def expire(future: "asyncio.Future[Result]") -> None:
        """The caller's time is up."""
        if not future.done():
            future.set_exception(DeadlineExceeded(outcome=Outcome.UNKNOWN))


def with_outcome(error: LogError, outcome: Outcome) -> LogError:
    """Each caller raises its own: a shared one would grow a traceback for every caller."""
    found = copy.copy(error)
    found.outcome = outcome
    return found
