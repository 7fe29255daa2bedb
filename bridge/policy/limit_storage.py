"""Where limits are counted: a bounded table in memory, as a storage of the `limits` library (pure)."""

from collections import OrderedDict
from typing import ClassVar, NamedTuple

from limits.storage import Storage

from bridge.clock import Clock
from bridge.policy.token_bucket import Verdict, take

__all__ = ("BoundedMemoryStorage", "LimitTables")


class LimitTables(NamedTuple):
    """Where limits are counted.

    Attributes:
        failures: wrong keys by address.
        buckets: token buckets by address.
    """

    failures: Storage
    buckets: Storage


class BoundedMemoryStorage(Storage):
    """
    Counters and token buckets of at most *keys_max* keys each; the one unused for longest is forgotten first.

    `limits`' own memory storage has no bound and starts a thread for every sweep; this one needs neither thread nor
    lock, since the event loop is its only caller. Times are monotonic readings of *clock*.
    """

    STORAGE_SCHEME: ClassVar[list[str]] = ["bounded-memory"]  # type: ignore[misc]

    def __init__(self, clock: Clock, *, keys_max: int) -> None:
        super().__init__()
        self._clock = clock
        self._keys_max = keys_max
        self._full_at_s: OrderedDict[str, float] = OrderedDict()
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Which errors the library may wrap; a table in memory has none of its own."""
        return MemoryError

    def acquire_tokens(self, key: str, interval_s: float, burst: int, cost: int) -> Verdict:
        """See `TokenBucketSupport`."""
        buckets = self._full_at_s
        full_at_s, verdict = take(
            buckets.get(key, 0.0), self._clock.monotonic_s(), interval_s=interval_s, burst=burst, cost=cost
        )
        if cost:
            # Also where it is refused: whoever keeps trying must not be the one that is forgotten.
            buckets[key] = full_at_s
            buckets.move_to_end(key)
            if len(buckets) > self._keys_max:
                buckets.popitem(last=False)
        return verdict

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count *amount*; a window of *expiry* seconds begins with its first count."""
        counters = self._counters
        now_s = self._clock.monotonic_s()
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
        return count if ends_s > self._clock.monotonic_s() else 0

    def get_expiry(self, key: str) -> float:
        """When the running window ends; now, where none runs."""
        return max(self._counters.get(key, (0, 0.0))[1], self._clock.monotonic_s())

    def check(self) -> bool:
        """Always there."""
        return True

    def reset(self) -> int:
        """Forget every key; returns how many there were."""
        forgotten = len(self._full_at_s) + len(self._counters)
        self._full_at_s.clear()
        self._counters.clear()
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one key."""
        self._full_at_s.pop(key, None)
        self._counters.pop(key, None)
