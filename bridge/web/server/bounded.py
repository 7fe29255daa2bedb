"""How many requests may do a long thing at a time (pure)."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import Outcome, Overloaded
from bridge.limits import ADDRESS_SLOTS_ALPHA, RETRY_AFTER_DEFAULT_MS
from bridge.policy.admission import FairShare
from bridge.policy.client_address import limit_key


class Bounded:
    """Those who do it hold no place among the requests in flight; instead there is a bound of their own, of which each address
    has a share.

    Args:
        count_max: so many at a time.
        detail: what one more is told.
        outcome: of a write that is refused.
    """

    __slots__ = ("_detail", "_outcome", "_slots")

    def __init__(self, count_max: int, detail: str, *, outcome: Outcome | None = None) -> None:
        self._slots = FairShare(count_max, alpha=ADDRESS_SLOTS_ALPHA)
        self._detail = detail
        self._outcome = outcome

    def __len__(self) -> int:
        return self._slots.taken

    @contextmanager
    def joined(self, client: str) -> Iterator[None]:
        """One more, as long as this is open.

        Args:
            client: the address that asks.

        Raises:
            Overloaded: if there are too many, or too many of *client*.
        """
        holder = limit_key(client)
        if not self._slots.take(holder):
            detail = self._detail
            if self._slots.taken < self._slots.amount_max:
                detail = f"{detail} Your address has its share of them."
            raise Overloaded(detail, outcome=self._outcome, retry_after_ms=RETRY_AFTER_DEFAULT_MS)
        try:
            yield
        finally:
            self._slots.give_back(holder)
