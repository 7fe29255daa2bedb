"""A clock that stands still until it is told to move."""


class FakeClock:
    """Satisfies `bridge.clock.Clock`; `advance` alone moves it, and `step` the time of day."""

    def __init__(self, *, now_us: int = 1_700_000_000_000_000) -> None:
        self._monotonic_s = 1000.0
        self._now_us = now_us

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def now_us(self) -> int:
        return self._now_us

    def wall_s(self) -> float:
        return self._now_us / 1_000_000

    def advance(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self._now_us += round(seconds * 1_000_000)

    def step(self, seconds: float) -> None:
        """The machine's clock is set, forwards or back; what is measured goes on."""
        self._now_us += round(seconds * 1_000_000)
