"""
A partition with one message (pure).

Purged, and given another message before anybody looked, it ends where it did. Only a look at the message tells.
"""

from bridge.limits import TAIL_SINGLE_LOOK_S
from bridge.messagelog import Records

__all__ = ("SingleMessage",)


class SingleMessage:
    """
    The message with offset 0, while it is the only one.

    Attributes:
        suspected: something was done to the partition: the next look is due at once.
    """

    __slots__ = ("_looked_s", "_stored_us", "suspected")

    def __init__(self) -> None:
        self.suspected = False
        self._stored_us: int | None = None
        self._looked_s = -TAIL_SINGLE_LOOK_S

    def look_is_due(self, now_s: float) -> bool:
        """Whether to look at it now, which is then done."""
        if not self.suspected and now_s < self._looked_s + TAIL_SINGLE_LOOK_S:
            return False
        self._looked_s = now_s
        self.suspected = False
        return True

    def note(self, records: Records) -> None:
        """This was read."""
        if records and records.offsets[0] == 0:
            self._stored_us = records.timestamps_us[0]

    def is_in(self, records: Records) -> bool:
        """Whether it is what these begin with, as far as is known."""
        return (
            records.offsets[0] > 0 or self._stored_us is None or records.timestamps_us[0] == self._stored_us
        )

    def forget(self) -> None:
        """The partition began anew."""
        self._stored_us = None
