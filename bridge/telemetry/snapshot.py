"""All figures of one process as plain values (pure), so that several processes' can be added up."""

from operator import add

import msgspec

__all__ = (
    "Counts",
    "GroupSnapshot",
    "LiveSnapshot",
    "Snapshot",
    "StateSnapshot",
    "TopicSnapshot",
    "decode",
    "encode",
)

#: Of a histogram: observations by bucket, and their sum.
Counts = tuple[list[int], float]


class StateSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A state and those seen before it."""

    now: str | None
    seen: list[str]


class TopicSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What went in and out of one topic."""

    stream: str
    topic: str
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int


class GroupSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What one group did; see `GroupFigures`."""

    stream: str
    topic: str
    group: str
    delivered: int
    redelivered: int
    dead_lettered: int
    standing: tuple[int, int, int, int, int] | None


class LiveSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """How many there are just now; see `LiveFigures`."""

    event_streams: int = 0
    sockets: int = 0
    subscriptions: int = 0
    long_polls: int = 0
    tails: int = 0
    feeds: int = 0
    feeds_held_bytes: int = 0
    slow_clients: int = 0
    slow_clients_held_bytes: int = 0

    def plus(self, other: "LiveSnapshot") -> "LiveSnapshot":
        """Both together."""
        sums = map(add, msgspec.structs.astuple(self), msgspec.structs.astuple(other))
        return LiveSnapshot(*sums)


class Snapshot(msgspec.Struct, array_like=True):
    """See `Metrics`, field by field; array-like, since it is read only by the process group that wrote it.

    Attributes:
        cpu_s, peak_memory_bytes, starts: of the process; set by `WorkerMetrics`.
    """

    messages_sent: int
    messages_received: int
    topics: list[TopicSnapshot]
    requests: list[tuple[str, str, int, int]]
    request_s: list[tuple[str, str, Counts]]
    in_flight: int
    rate_limited: int
    auth_failures: dict[str, int]
    append_failures: dict[str, int]
    append_s: Counts
    append_messages: Counts
    read_s: Counts
    loop_lag_s: Counts
    task_failures: list[tuple[str, str, int]]
    connection: StateSnapshot
    breaker: StateSnapshot
    reconnects: int
    overloaded: int
    slow_clients_cut: dict[str, int]
    accept_failures: dict[str, int]
    groups: list[GroupSnapshot]
    live: LiveSnapshot
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    starts: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """As bytes for `decode`."""
    return _encoder.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """
    What `encode` was given.

    Raises:
        msgspec.DecodeError: if it is something else.
    """
    return _decoder.decode(data)
