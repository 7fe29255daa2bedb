"""The headers of messages that came together and have the very same (pure)."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from operator import itemgetter
from typing import Final, TypeAlias

from bridge.messagelog.values import NO_HEADERS, Headers

Run: TypeAlias = tuple[int, Headers]
"""How many messages, and the headers of each, which may be none."""

_COUNT_OF: Final = itemgetter(0)


class HeaderRuns(Mapping[int, Headers]):
    """Headers by the index of their message, kept once for each run: a batch has one trace, and a thousand messages.

    Args:
        runs: one behind the other, from index 0 on.
    """

    __slots__ = ("_ends", "runs")

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)
        self._ends = list(accumulate(map(_COUNT_OF, self.runs)))

    def __getitem__(self, index: int) -> Headers:
        at = bisect_right(self._ends, index)
        headers = self.runs[at][1] if at < len(self.runs) and index >= 0 else NO_HEADERS
        if not headers:
            raise KeyError(index)
        return headers

    def __iter__(self) -> Iterator[int]:
        for (count, headers), end in zip(self.runs, self._ends, strict=True):
            if headers:
                yield from range(end - count, end)

    def __len__(self) -> int:
        return sum([count for count, headers in self.runs if headers])

    def part(self, start: int, stop: int) -> "HeaderRuns":
        """Those of the messages numbered *start* up to, not including, *stop*; numbered anew."""
        cut: list[Run] = []
        begin = 0
        for (_, headers), end in zip(self.runs, self._ends, strict=True):
            if begin < stop and end > start:
                cut.append((min(end, stop) - max(begin, start), headers))
            begin = end
        return HeaderRuns(cut)
