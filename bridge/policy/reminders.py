"""What is said once and not for every request (pure)."""

__all__ = ("Reminders",)


class Reminders:
    """
    Says of each of a few keys, once in a while, that it may be told again.

    Args:
        interval_s: how long a key that was told keeps still.
        keys_max: keys told within that time; further ones keep still, so that a log is bounded whoever writes keys.
    """

    __slots__ = ("_again_s", "_interval_s", "_keys_max")

    def __init__(self, *, interval_s: float, keys_max: int) -> None:
        self._interval_s = interval_s
        self._keys_max = keys_max
        # By when they were told, the oldest first.
        self._again_s: dict[str, float] = {}

    def is_due(self, key: str, now_s: float) -> bool:
        """Whether *key* may be told now; if so, it counts as told."""
        again_s = self._again_s.get(key)
        if again_s is not None:
            if now_s < again_s:
                return False
            del self._again_s[key]
        elif len(self._again_s) >= self._keys_max:
            oldest = next(iter(self._again_s))
            if now_s < self._again_s[oldest]:
                return False
            del self._again_s[oldest]
        self._again_s[key] = now_s + self._interval_s
        return True
