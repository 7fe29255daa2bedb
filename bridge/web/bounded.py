"""How many requests may do a long thing at a time (pure)."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import Outcome, Overloaded
from bridge.limits import RETRY_AFTER_DEFAULT_MS

__all__ = ("Bounded",)


class Bounded:
    """
    Those who do it hold no place among the requests in flight; instead there is a bound of their own.

    Args:
        count_max: so many at a time.
        detail: what one more is told.
        outcome: of a write that is refused.
    """

    __slots__ = ("_count", "_count_max", "_detail", "_outcome")

    def __init__(self, count_max: int, detail: str, *, outcome: Outcome | None = None) -> None:
        self._count_max = count_max
        self._detail = detail
        self._outcome = outcome
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
        if self._count >= self._count_max:
            raise Overloaded(self._detail, outcome=self._outcome, retry_after_ms=RETRY_AFTER_DEFAULT_MS)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
