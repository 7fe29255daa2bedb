"""A log that may take an append without anybody waiting for its turn (pure)."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from bridge.clock import Deadline
from bridge.errors import BridgeError
from bridge.messagelog.placement import Balanced, ToPartition
from bridge.messagelog.values import NewMessage, Receipt, TopicRef

__all__ = ("Ending", "ReadyLog")

Ending: TypeAlias = Receipt | BridgeError | None
"""What became of an append: stored; or the error that `append` raises; or None: not written, to be tried by `append`."""


class ReadyLog(Protocol):
    """A `MessageLog` that can begin an append at once when nothing stands in its way."""

    def begin_append(
        self,
        topic: TopicRef,
        placement: Balanced | ToPartition,
        messages: Sequence[NewMessage],
        *,
        size_bytes: int,
        deadline: Deadline,
        ended: Callable[[Ending], None],
    ) -> bool:
        """
        Hand *messages* over now, or do nothing and return False.

        What `MessageLog.append` promises of order, durability and outcomes holds. Without a task, a timeout and
        some futures, which took a sixth of an append on its own (measured, load generator included).

        Args:
            messages: which `check_append` has passed.
            size_bytes: what it gave.
            deadline: at which *ended* is told that nobody knows, at the latest.
            ended: called once, on the event loop, after this has returned.
        """
        ...

    def partitions_now(self, topic: TopicRef) -> int | None:
        """`MessageLog.partitions_count` where it is known without asking anybody."""
        ...
