"""Whether one who is waited for keeps up a least rate (pure)."""

__all__ = ("Pace",)


class Pace:
    """
    Patience with one sender or reader: waiting spends it, bytes earn it back.

    Over any time that is a least rate, with *patience_s* of it in advance: a pause that long is nobody's fault, and who
    moves a byte now and then gains nothing by it.

    Args:
        patience_s: how long it may move nothing, to begin with and at most.
        bytes_per_s_min: what earns a second.

    Attributes:
        left_s: how long it may move nothing from now on.
    """

    __slots__ = ("_bytes_per_s_min", "_patience_s", "left_s")

    def __init__(self, *, patience_s: float, bytes_per_s_min: float) -> None:
        self._patience_s = patience_s
        self._bytes_per_s_min = bytes_per_s_min
        self.left_s = patience_s

    def spend(self, waited_s: float, moved_bytes: int) -> bool:
        """It was waited for so long and moved so much meanwhile; False once it is too slow."""
        earned_s = moved_bytes / self._bytes_per_s_min
        self.left_s = min(self._patience_s, self.left_s - waited_s + earned_s)
        return self.left_s > 0
