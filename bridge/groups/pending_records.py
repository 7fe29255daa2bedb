"""Records that this process wrote, until the ledger says what they did (shell)."""

import asyncio
import copy
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from bridge.errors import DeadlineExceeded, LogError, Outcome
from bridge.groups.ledger import AppliedRecord, Result
from bridge.groups.records import Lease, Record

# Leases whose callers left before their result was known.
_ORPHANS_MAX: Final = 10_000
# Numbers of one reading: by itself each took 90 us beside busy threads, since it lets go of the interpreter.
_RANDOM_NUMBERS: Final = 256


def random_ids() -> Iterator[int]:
    """Numbers that nobody guesses, 1..2^63-1, without end."""
    while True:
        numbers = struct.unpack(f">{_RANDOM_NUMBERS}Q", secrets.token_bytes(8 * _RANDOM_NUMBERS))
        yield from (number >> 1 or 1 for number in numbers)


class PendingRecords:
    """Who waits for what.

    Attributes:
        on_orphan: called with a lease that was given after its caller had left.
    """

    def __init__(self) -> None:
        self.on_orphan: Callable[[AppliedRecord], None] = lambda _: None
        self._results: dict[int, asyncio.Future[Result]] = {}
        self._orphans: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._results)

    def add(self, record: Record, *, timeout_s: float) -> "asyncio.Future[Result]":
        """What *record* will have done, DeadlineExceeded once its time is up; until `remove`."""
        loop = asyncio.get_running_loop()
        future = self._results[record.id] = loop.create_future()
        # A timer, not `asyncio.timeout`, as in `flow/appending/batching.py`; the append ends by itself.
        timer = loop.call_later(timeout_s, _expire, future)
        future.add_done_callback(lambda _: timer.cancel())
        return future

    def remove(self, record: Record, *, may_be_there: bool) -> None:
        """Nobody waits for *record* any more.

        Args:
            may_be_there: it may stand in the ledger though its caller heard nothing of it.
        """
        future = self._results.pop(record.id)
        # Looked at even where the caller was cancelled in the same moment, so that nothing warns of it.
        has_result = future.done() and not future.cancelled() and future.exception() is None
        future.cancel()
        if not (may_be_there and isinstance(record, Lease)):
            return
        if has_result:
            self.on_orphan(AppliedRecord(record, future.result()))
            return
        self._orphans[record.id] = None
        if len(self._orphans) > _ORPHANS_MAX:
            self._orphans.popitem(last=False)

    def applied(self, applied: AppliedRecord) -> None:
        """The ledger says what a record did."""
        record_id = applied.record.id
        future = self._results.get(record_id)
        if future is not None and not future.done():
            future.set_result(applied.result)
        elif record_id in self._orphans:
            del self._orphans[record_id]
            self.on_orphan(applied)

    def fail(self, error: LogError) -> None:
        """Nobody will learn any more what was done."""
        for future in self._results.values():
            if not future.done():
                future.set_exception(with_outcome(error, Outcome.UNKNOWN))


def _expire(future: "asyncio.Future[Result]") -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded(outcome=Outcome.UNKNOWN))


def with_outcome(error: LogError, outcome: Outcome) -> LogError:
    """Each caller raises its own: a shared one would grow a traceback for every caller."""
    found = copy.copy(error)
    found.outcome = outcome
    return found
