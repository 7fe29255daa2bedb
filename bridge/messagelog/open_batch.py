"""A batch that may change until a log takes it (pure)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from bridge.messagelog.values import NewMessage

__all__ = ("Messages", "OpenBatch", "sealed")


class OpenBatch(ABC):
    """
    Messages of several callers. Until the batch is sealed callers may withdraw theirs, and others may add some.

    A log seals the batch when it can hand it over: it has its connection and its turn. So nobody is told "unknown" about
    a message that never left.
    """

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """What `check_append` gives for the messages that `seal` returned last."""

    @abstractmethod
    def seal(self) -> Sequence[NewMessage]:
        """
        Close the batch and return its messages, which the log hands over right after.

        Each message is within the bounds of `check_append`, and so are all together. Empty if nobody waits any more: then
        there is nothing to do. Called once for each try.

        Raises:
            RuntimeError: if the batch is sealed already.
        """

    @abstractmethod
    def reopen(self) -> None:
        """
        Take the messages back: surely none was written, and the log will try again.

        Raises:
            RuntimeError: if the batch is not sealed.
        """


Messages: TypeAlias = Sequence[NewMessage] | OpenBatch
"""What an append takes."""


def sealed(messages: Messages) -> Sequence[NewMessage]:
    """The messages, at the moment when they are handed over."""
    return messages.seal() if isinstance(messages, OpenBatch) else messages
