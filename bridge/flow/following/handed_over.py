"""Messages that need not be read from the log, because this process has just put them there (pure)."""

from bisect import bisect_left

from bridge.limits import PAGE_BYTES_MAX, TAIL_PAGE_MESSAGES
from bridge.messagelog import NO_RECORDS, Records

__all__ = ("HandedOver",)


class HandedOver:
    """The newest batches of one partition, which follow each other; no more than one read would give."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[Records] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, records: Records) -> bool:
        """Keep *records*; False, and nothing else kept, if they do not follow the last, or there is no room for all."""
        runs = [*self._runs, records]
        if self._runs and (
            records.offsets[0] != self._runs[-1].offsets[-1] + 1
            or sum(map(len, runs)) > TAIL_PAGE_MESSAGES
            or sum(run.payload_bytes for run in runs) > PAGE_BYTES_MAX
        ):
            self._runs = [records]
            return False
        self._runs = runs
        return True

    def forget(self, before: int) -> None:
        """Keep only what has this offset or a later one."""
        rest = [run.part(bisect_left(run.offsets, before), len(run)) for run in self._runs]
        self._runs = [run for run in rest if run]

    def taken(self) -> Records:
        """All of them as one; from now on there are none."""
        runs, self._runs = self._runs, []
        return Records.joined(runs) if runs else NO_RECORDS
