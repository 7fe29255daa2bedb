"""The clients that wait for messages: how many (pure)."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import Overloaded
from bridge.limits import LONG_POLLS_MAX, RETRY_AFTER_DEFAULT_MS

__all__ = ("LongPolls",)


class LongPolls:
    """Each waits without a place among the requests in flight; instead there is a bound of their own."""

    __slots__ = ("_count", "_polls_max")

    def __init__(self, polls_max: int = LONG_POLLS_MAX) -> None:
        self._polls_max = polls_max
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def joined(self) -> Iterator[None]:
        """
        One more, as long as this is open.

        Raises:
            Overloaded: if there are too many.
        """
        if self._count >= self._polls_max:
            raise Overloaded("Too many long polls are waiting.", retry_after_ms=RETRY_AFTER_DEFAULT_MS)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
