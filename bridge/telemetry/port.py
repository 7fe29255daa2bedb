"""What the rooms below the web tell of themselves (pure); `metrics.py` listens, tests and tools need not."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

__all__ = ("GroupObserver", "GroupStats", "LogObserver", "NullObserver", "TaskObserver", "TopicSeries")


class LogObserver(Protocol):
    """Told of what the log does. Each call returns at once and never raises."""

    def appended(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None:
        """One write to the log was acknowledged: *messages* in one go, *seconds* from handing over to the answer."""

    def append_failed(self, stream: str, topic: str, *, code: str) -> None:
        """One write to the log failed with the error of that code."""

    def read(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None:
        """One read from the log was answered."""

    def connection_changed(self, state: str) -> None:
        """The connection is now in this state."""

    def reconnected(self) -> None:
        """A lost connection is back."""

    def breaker_changed(self, state: str) -> None:
        """The circuit breaker is now "closed", "open" or "half_open"."""


class TaskObserver(Protocol):
    """Told of what background tasks meet. Each call returns at once and never raises."""

    def task_failed(self, task: str, code: str) -> None:
        """A step of this task failed with the error of that code, which was expected."""

    def loop_lagged(self, seconds: float) -> None:
        """The event loop came back this much later than it was asked to."""


class GroupStats(NamedTuple):
    """
    A whole group, in all partitions.

    Attributes:
        lag: messages after the committed offsets.
        in_flight: messages out under a lease.
        waiting: messages that came back, or were passed over, and are to be given out again.
        delayed: of them, those that are not to be given out yet.
        dead_letters: messages in its dead-letter topic.
    """

    lag: int
    in_flight: int
    waiting: int
    delayed: int
    dead_letters: int


class GroupObserver(Protocol):
    """Told of what groups do. Each call returns at once and never raises."""

    def group_delivered(
        self, stream: str, topic: str, group: str, *, messages: int, redelivered: int
    ) -> None:
        """So many messages were handed out, so many of them not for the first time."""

    def group_dead_lettered(self, stream: str, topic: str, group: str, *, messages: int) -> None:
        """So many messages went to the dead-letter topic."""

    def groups_measured(self, standing: Mapping[tuple[str, str, str], GroupStats | None] | None) -> None:
        """Every group there is and how it stands, None where that is not known; None where not even that is known."""


class TopicSeries(Protocol):
    """Has series of topics, and ends those of topics that are gone."""

    def begin_round(self) -> tuple[str, ...]:
        """The streams of whose topics there are series; `keep_topics` of each follows."""

    def keep_topics(self, stream: str, topics: Collection[str]) -> None:
        """Of *stream* there are only *topics*: the series of others end."""


class NullObserver:
    """Listens to nothing."""

    __slots__ = ()

    def appended(
        self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float
    ) -> None: ...

    def append_failed(self, stream: str, topic: str, *, code: str) -> None: ...

    def read(self, stream: str, topic: str, *, messages: int, payload_bytes: int, seconds: float) -> None: ...

    def connection_changed(self, state: str) -> None: ...

    def reconnected(self) -> None: ...

    def breaker_changed(self, state: str) -> None: ...
