"""What the rooms below the web tell of themselves (pure); `metrics.py` listens, tests and tools need not."""

from typing import Protocol

__all__ = ("LogObserver", "NullObserver", "TaskObserver")


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
