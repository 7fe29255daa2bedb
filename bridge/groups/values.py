"""What `Groups` takes and gives (pure). Times are the ledger's, in microseconds since the epoch."""

from typing import NamedTuple, TypeAlias

from bridge import limits
from bridge.errors import BadRequest
from bridge.groups.partition import AckOutcome
from bridge.groups.records import GroupRef
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, Message, TopicRef
from bridge.policy.names import check_name

SeekTo: TypeAlias = First | Last | FromOffset | FromTimestamp
"""Where a group goes on: at the oldest message kept, behind the newest, at an offset, or at a time."""


class Delivery(NamedTuple):
    """One message under a lease.

    Attributes:
        token: what `ack`, `nack` and `extend` take.
        delivery_count: 1 the first time.
        expires_at_us: when the message is given to another, unless it is acked or extended.
    """

    token: str
    partition_id: int
    message: Message
    delivery_count: int
    expires_at_us: int


class TokenResult(NamedTuple):
    """The answer to one token; *expires_at_us* is the new end where a lease was extended, else None."""

    token: str
    outcome: AckOutcome
    expires_at_us: int | None


class GroupPartition(NamedTuple):
    """How far a group came in one partition.

    Attributes:
        committed_offset: everything up to here is acknowledged; None where nothing is.
        end_offset: the next message will be here.
        lag: messages after the committed offset.
        in_flight: messages out under a lease.
        waiting: messages that came back and were not given out again yet, or passed over.
        owner: the process that looks after it, in hexadecimal; None where there is none.
    """

    partition_id: int
    committed_offset: int | None
    end_offset: int
    lag: int
    in_flight: int
    waiting: int
    owner: str | None


class GroupInfo(NamedTuple):
    """A group; *members* are the processes that have receivers for it, or had within 10 s.

    While no group at all is used nobody says that he is there: a process that is killed then stands among them until 10 s
    after the next use. The dead-letter topic is in the stream of the group's own, and there once a message is given up.
    """

    name: str
    members: tuple[str, ...]
    partitions: tuple[GroupPartition, ...]
    used_at_us: int
    dead_letter_topic: str

    @property
    def lag(self) -> int:
        return sum(each.lag for each in self.partitions)

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self.partitions)


class SeekResult(NamedTuple):
    """A partition in which a group was, or would be, moved: *to_offset* is the next one it gets."""

    partition_id: int
    from_offset: int
    to_offset: int


def consumer_name(group: str) -> str:
    """The consumer that a group's committed offsets are stored for."""
    return f"group.{group}"


def bounded(name: str, value: int, minimum: int, maximum: int) -> int:
    """*value*, if it is from *minimum* to *maximum*.

    Raises:
        BadRequest: if it is not; its path is *name*.
    """
    if not minimum <= value <= maximum:
        raise BadRequest(f"'{name}' takes {minimum} to {maximum}.", path=name, limit=maximum)
    return value


def ref_of(topic: TopicRef, group: str) -> GroupRef:
    """The group of that name of *topic*, whose own names are taken as valid.

    Raises:
        BadRequest: if groups may not be called so.
    """
    check_name(group, kind="group")
    if len(group) > limits.GROUP_NAME_CHARS_MAX:
        raise BadRequest(
            f"The group name has more than {limits.GROUP_NAME_CHARS_MAX} characters.",
            path="group",
            limit=limits.GROUP_NAME_CHARS_MAX,
        )
    return GroupRef(topic.stream, topic.topic, group)
