"""Where limits are counted (pure): bounded tables in memory, as storages of the `limits` library.

One is of a process alone; the other is shared by several, whose memory and locks are handed in.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Protocol

from limits.storage import Storage

from bridge.clock import Clock
from bridge.limits import SHARED_TABLE_WAYS
from bridge.policy.rate_limits import RateLimit, RateVerdict


class LimitTables(NamedTuple):
    """Where wrong keys, and where requests, are counted by address."""

    failures: Storage
    buckets: Storage


class _Table(Storage):
    """What the library asks of any storage, of a table in memory."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        # Asked three times of a request: to find it at each took as much again.
        self._now_s = clock.monotonic_s

    @property
    def base_exceptions(self) -> type[Exception]:
        """Which errors the library may wrap; a table in memory has none of its own."""
        return MemoryError

    def check(self) -> bool:
        """Always there."""
        return True


class BoundedMemoryStorage(_Table):
    """Counters and token buckets of at most *keys_max* keys each; the one unused for longest is forgotten first.

    `limits`' own memory storage has no bound and starts a thread for every sweep; this one needs neither thread nor
    lock, since the event loop is its only caller. Times are monotonic readings of *clock*.
    """

    STORAGE_SCHEME: ClassVar[list[str]] = ["bounded-memory"]  # type: ignore[misc]

    def __init__(self, clock: Clock, *, keys_max: int) -> None:
        super().__init__(clock)
        self._keys_max = keys_max
        self._full_at_s: OrderedDict[str, float] = OrderedDict()
        # To find a method of this kind of dictionary takes as much as what it does.
        self._found, self._used = self._full_at_s.get, self._full_at_s.move_to_end
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def acquire_tokens(self, limit: RateLimit, key: str, cost: int = 1) -> RateVerdict:
        before_s = self._found(key)
        full_at_s, verdict = limit.take(before_s or 0.0, self._now_s(), cost)
        if cost:
            buckets = self._full_at_s
            # Also where it is refused: whoever keeps trying must not be the one that is forgotten.
            buckets[key] = full_at_s
            if before_s is not None:
                self._used(key)
            elif len(buckets) > self._keys_max:
                buckets.popitem(last=False)
        return verdict

    def spend_tokens(self, limit: RateLimit, key: str, cost: int) -> None:
        self._full_at_s[key] = limit.spend(self._found(key, 0.0), self._now_s(), cost)
        self._used(key)
        if len(self._full_at_s) > self._keys_max:
            self._full_at_s.popitem(last=False)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count *amount*; a window of *expiry* seconds begins with its first count."""
        counters = self._counters
        now_s = self._now_s()
        count, ends_s = counters.get(key, (0, 0.0))
        if ends_s <= now_s:
            count, ends_s = 0, now_s + expiry
        counters[key] = (count + amount, ends_s)
        counters.move_to_end(key)
        if len(counters) > self._keys_max:
            counters.popitem(last=False)
        return count + amount

    def get(self, key: str) -> int:
        """The count of the running window, 0 where none runs."""
        count, ends_s = self._counters.get(key, (0, 0.0))
        return count if ends_s > self._now_s() else 0

    def get_expiry(self, key: str) -> float:
        """When the running window ends; now, where none runs."""
        return max(self._counters.get(key, (0, 0.0))[1], self._now_s())

    def reset(self) -> int:
        """Forget every key; returns how many there were."""
        forgotten = len(self._full_at_s) + len(self._counters)
        self._full_at_s.clear()
        self._counters.clear()
        return forgotten

    def clear(self, key: str) -> None:
        self._full_at_s.pop(key, None)
        self._counters.pop(key, None)


# An address's hash, a time, a count: the time is that of a full bucket, or the end of a counting window.
_ROW: Final = Struct("=Qdd")
_SET: Final = Struct("=" + "Qdd" * SHARED_TABLE_WAYS)
_EMPTY: Final = 0
_DIGEST_BYTES: Final = 8


class Locks(Protocol):
    """A lock for each number, held across processes and freed by the kernel when its holder dies."""

    def take(self, number: int) -> bool:
        """Take it without waiting long; False where that was in vain."""
        ...

    def release(self, number: int) -> None: ...


class _Row(NamedTuple):
    at: int
    time_s: float
    amount: float


def table_bytes(keys_max: int) -> int:
    """Memory of a table for at least *keys_max* keys."""
    return -(-keys_max // SHARED_TABLE_WAYS) * _SET.size


class SharedStorage(_Table):
    """Counters or token buckets of a bounded number of keys; times are monotonic readings, the same in all processes.

    Keys are spread over small sets by a hash under a secret, so that nobody can choose addresses that share a set. In a
    full set the key goes whose bucket is full, or whose window ends, the soonest. Two keys with one hash (64 bits)
    share a count. Without its lock, after too many attempts, a count may miss one: that is better than to wait for
    a process that was stopped.

    Args:
        memory: zeros at first; `table_bytes` long; shared by all processes.
        locks: one for each set.
        secret: the same in all processes, at least 16 bytes.
    """

    STORAGE_SCHEME: ClassVar[list[str]] = ["shared-memory"]  # type: ignore[misc]

    def __init__(self, clock: Clock, *, memory: memoryview, locks: Locks, secret: bytes) -> None:
        super().__init__(clock)
        self._memory = memory
        self._locks = locks
        self._secret = secret
        self._sets = len(memory) // _SET.size

    def acquire_tokens(self, limit: RateLimit, key: str, cost: int = 1) -> RateVerdict:
        digest, index = self._place(key)
        if not cost:
            row = self._find(digest, index)
            return limit.take(row.time_s, self._now_s(), cost=0)[1]
        with self._locked(index):
            row = self._find(digest, index)
            full_at_s, verdict = limit.take(row.time_s, self._now_s(), cost)
            _ROW.pack_into(self._memory, row.at, digest, full_at_s, 0.0)
        return verdict

    def spend_tokens(self, limit: RateLimit, key: str, cost: int) -> None:
        digest, index = self._place(key)
        with self._locked(index):
            row = self._find(digest, index)
            full_at_s = limit.spend(row.time_s, self._now_s(), cost)
            _ROW.pack_into(self._memory, row.at, digest, full_at_s, 0.0)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count *amount*; a window of *expiry* seconds begins with its first count."""
        digest, index = self._place(key)
        with self._locked(index):
            row = self._find(digest, index)
            now_s = self._now_s()
            running = row.time_s > now_s
            count = (row.amount if running else 0.0) + amount
            _ROW.pack_into(self._memory, row.at, digest, row.time_s if running else now_s + expiry, count)
        return int(count)

    def get(self, key: str) -> int:
        """The count of the running window, 0 where none runs."""
        row = self._find(*self._place(key))
        return int(row.amount) if row.time_s > self._now_s() else 0

    def get_expiry(self, key: str) -> float:
        """When the running window ends; now, where none runs."""
        return max(self._find(*self._place(key)).time_s, self._now_s())

    def reset(self) -> int:
        """Forget every key; returns how many there were."""
        present = sum(
            1
            for index in range(self._sets)
            for digest in _SET.unpack_from(self._memory, index * _SET.size)[::3]
            if digest != _EMPTY
        )
        self._memory[:] = bytes(len(self._memory))
        return present

    def clear(self, key: str) -> None:
        digest, index = self._place(key)
        with self._locked(index):
            _ROW.pack_into(self._memory, self._find(digest, index).at, _EMPTY, 0.0, 0.0)

    def _place(self, key: str) -> tuple[int, int]:
        digest = blake2b(key.encode(), digest_size=_DIGEST_BYTES, key=self._secret).digest()
        number = int.from_bytes(digest) or 1
        return number, number % self._sets

    def _find(self, digest: int, index: int) -> _Row:
        """The row of this key, or the one that it may have, which then tells nothing."""
        at = index * _SET.size
        fields = _SET.unpack_from(self._memory, at)
        digests, times_s = fields[::3], fields[1::3]
        if digest in digests:
            way = digests.index(digest)
            return _Row(at + way * _ROW.size, times_s[way], fields[way * 3 + 2])
        return _Row(at + times_s.index(min(times_s)) * _ROW.size, 0.0, 0.0)

    @contextmanager
    def _locked(self, index: int) -> Iterator[None]:
        held = self._locks.take(index)
        try:
            yield
        finally:
            if held:
                self._locks.release(index)
