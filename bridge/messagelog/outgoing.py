"""Messages that may change until they are handed over (pure)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from bridge.messagelog.values import NewMessage

__all__ = ("Messages", "Outgoing", "leaving")


class Outgoing(ABC):
    """
    Messages of several callers, who may go away until the messages leave, and of whom more may come.

    A log that has to wait for its turn or its connection asks for the messages when it can hand them over. So nobody has
    to be told "unknown" of a message that never left.
    """

    @abstractmethod
    def leave(self) -> Sequence[NewMessage]:
        """
        The messages, which are handed over right after; each within the bounds of `check_append`, as are all together.

        Empty: nobody waits any more, and nothing is to be done. Called once for each try.
        """

    @abstractmethod
    def stay(self) -> None:
        """What `leave` gave last was surely not written."""


Messages: TypeAlias = Sequence[NewMessage] | Outgoing
"""What an append takes."""


def leaving(messages: Messages) -> Sequence[NewMessage]:
    """The messages, at the moment they are handed over."""
    return messages.leave() if isinstance(messages, Outgoing) else messages
