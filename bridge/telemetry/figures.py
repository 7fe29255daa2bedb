"""Counting cells that cost little per observation (pure); `metrics.py` turns them into Prometheus families on a scrape."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence

__all__ = ("OTHER", "Histogram", "TopicCell", "TopicCells")

#: The label of everything beyond the bound on labels; a topic "other" of a stream "other" is counted with the rest.
OTHER = "other"
_OTHERS = (OTHER, OTHER)


class Histogram:
    """Observations in buckets; *bounds* are inclusive upper bounds in ascending order, +Inf is added."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def counts(self) -> tuple[list[int], float]:
        """Observations by bucket, and their sum."""
        return list(self._counts), self.total

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add what another histogram of the same bounds has observed."""
        self._counts = [own + other for own, other in zip(self._counts, counts, strict=True)]
        self.total += total

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts as Prometheus wants them: (upper bound, observations up to it)."""
        result: list[tuple[str, float]] = []
        seen = 0
        for bound, count in zip(self.bounds, self._counts, strict=False):
            seen += count
            result.append((str(bound), float(seen)))
        result.append(("+Inf", float(seen + self._counts[-1])))
        return result


class TopicCell:
    """What went in and out of one topic."""

    __slots__ = ("bytes_in", "bytes_out", "messages_in", "messages_out", "used")

    def __init__(self) -> None:
        #: In which round of `TopicCells` it was asked for last.
        self.used = 0
        self.messages_in = 0
        self.bytes_in = 0
        self.messages_out = 0
        self.bytes_out = 0


class TopicCells:
    """
    A cell for each of *topics_max* topics, and one for all others together.

    Series end with their topic, and where there is no room left also with its use, so that new topics get their own: a
    topic whose cell went is counted from 0 when it is used again, as after a restart.
    """

    __slots__ = ("_cells", "_round", "_topics_max")

    def __init__(self, topics_max: int) -> None:
        self._topics_max = topics_max
        self._round = 0
        self._cells: dict[tuple[str, str], TopicCell] = {}

    def cell(self, stream: str, topic: str) -> TopicCell:
        key = (stream, topic)
        found = self._cells.get(key)
        if found is None:
            if self._is_full:
                return self._cells.setdefault(_OTHERS, TopicCell())
            self._cells[key] = found = TopicCell()
        found.used = self._round
        return found

    def streams(self) -> tuple[str, ...]:
        """Of which there are cells."""
        return tuple(dict.fromkeys(stream for stream, topic in self._cells if (stream, topic) != _OTHERS))

    def begin_round(self, *, idle_rounds: int) -> None:
        """Another round; where there is no room, cells that nobody asked for in so many rounds go."""
        self._round += 1
        if self._is_full:
            self._drop(lambda key, cell: key != _OTHERS and self._round - cell.used > idle_rounds)

    def keep(self, stream: str, topics: Collection[str]) -> None:
        """Of *stream* there are only *topics*: the cells of others go, but for those asked for in this round."""
        self._drop(
            lambda key, cell: (
                key[0] == stream and key[1] not in topics and key != _OTHERS and cell.used < self._round
            )
        )

    @property
    def _is_full(self) -> bool:
        return len(self._cells) - (_OTHERS in self._cells) >= self._topics_max

    def _drop(self, goes: Callable[[tuple[str, str], TopicCell], bool]) -> None:
        self._cells = {key: cell for key, cell in self._cells.items() if not goes(key, cell)}

    def items(self) -> tuple[tuple[tuple[str, str], TopicCell], ...]:
        """Every cell with its (stream, topic), as of now."""
        return tuple(self._cells.items())
