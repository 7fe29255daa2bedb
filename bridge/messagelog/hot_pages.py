"""What is read again and again, kept within a bound on its bytes (pure)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from bridge.limits import HOT_PAGES_SEEN_MAX

K = TypeVar("K")
V = TypeVar("V")


class HotPages(Generic[K, V]):
    """The values used last, until their bytes pass the bound.

    A value is kept when it is offered for the second time, so that somebody who reads everything once drives nothing
    out. Whether a value found still holds is for its owner to check.

    Args:
        bytes_max: a value of more than an eighth of it is never kept.
        gone: told each key and the value under it that is not kept any more.
    """

    def __init__(self, bytes_max: int, *, gone: Callable[[K, V], None] | None = None) -> None:
        self._bytes_max = bytes_max
        self._gone = gone
        self._bytes = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._seen: OrderedDict[K, None] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """What is kept, as it was weighed."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The value kept under *key*."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def offer(self, key: K, value: V, *, size_bytes: int) -> bool:
        """Whether *value* is kept from now on, instead of what was kept under *key*."""
        if size_bytes > self._bytes_max // 8:
            return False
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= before[1]
            if self._gone is not None:
                self._gone(key, before[0])
        elif key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > HOT_PAGES_SEEN_MAX:
                self._seen.popitem(last=False)
            return False
        self._seen.pop(key, None)
        self._kept[key] = value, size_bytes
        self._bytes += size_bytes
        while self._bytes > self._bytes_max:
            gone, (gone_value, gone_bytes) = self._kept.popitem(last=False)
            self._bytes -= gone_bytes
            if self._gone is not None:
                self._gone(gone, gone_value)
        return True
