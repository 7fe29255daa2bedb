"""The topics the ledger lives in: made where they are missing, and the newest snapshot found (shell)."""

from contextlib import suppress
from typing import Final, NamedTuple

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import AlreadyExists, NotFound
from bridge.groups.ledger import LedgerState
from bridge.groups.snapshots import piece_of, restored
from bridge.groups.token_keys import KEYS
from bridge.messagelog import FromOffset, Last, Message, MessageLog, Retention, TopicRef

__all__ = ("LEDGER", "LedgerTopics")

LEDGER: Final = "ledger"

# How many of the newest messages may be no snapshot before it is taken as lost.
_STRANGERS_MAX: Final = 64
_LEDGER_RETENTION: Final = Retention(age_s=limits.GROUP_LEDGER_AGE_S)
# By size: the newest snapshot must outlive any pause.
_SNAPSHOTS_RETENTION: Final = Retention(size_bytes=limits.GROUP_SNAPSHOTS_BYTES_MAX)


class LedgerTopics(NamedTuple):
    """Where the ledger lives; *made_us* is when its topic was made, which tells it from one of the same name."""

    ledger: TopicRef
    snapshots: TopicRef
    keys: TopicRef
    made_us: int

    @classmethod
    async def present(cls, log: MessageLog, stream: str, *, deadline: Deadline) -> "LedgerTopics | None":
        """The topics in *stream*, None where the ledger is missing; nothing is made."""
        ledger, snapshots, keys = (TopicRef(stream, name) for name in (LEDGER, "snapshots", KEYS))
        try:
            made_us = (await log.topic(ledger, deadline=deadline)).created_at_us
        except NotFound:
            return None
        return cls(ledger, snapshots, keys, made_us)

    @classmethod
    async def found(cls, log: MessageLog, stream: str, *, deadline: Deadline) -> "LedgerTopics":
        """The topics in *stream*; made, with the stream, where they are missing."""
        ledger, snapshots, keys = (TopicRef(stream, name) for name in (LEDGER, "snapshots", KEYS))
        try:
            for topic in (snapshots, keys):
                await log.partitions_count(topic, deadline=deadline)
            made_us = (await log.topic(ledger, deadline=deadline)).created_at_us
        except NotFound:
            with suppress(AlreadyExists):
                await log.create_stream(stream, deadline=deadline)
            for topic, retention in (
                (ledger, _LEDGER_RETENTION),
                (snapshots, _SNAPSHOTS_RETENTION),
                (keys, Retention()),
            ):
                with suppress(AlreadyExists):
                    await log.create_topic(topic, partitions_count=1, retention=retention, deadline=deadline)
            made_us = (await log.topic(ledger, deadline=deadline)).created_at_us
        return cls(ledger, snapshots, keys, made_us)

    async def newest_snapshot(self, log: MessageLog, *, deadline: Deadline) -> LedgerState | None:
        """The state in the newest snapshot of this ledger, None where there is none."""
        for count in (1, _STRANGERS_MAX):
            page = await log.read(self.snapshots, 0, Last(), count=count, deadline=deadline)
            for message in reversed(page.messages):
                state = await self._ending_at(log, message, deadline)
                if state is not None:
                    return state
        return None

    async def _ending_at(self, log: MessageLog, last: Message, deadline: Deadline) -> LedgerState | None:
        piece = piece_of(last.payload)
        if piece is None or piece.number != piece.total - 1 or piece.made_us != self.made_us:
            return None
        at = last.offset - piece.number
        payloads: list[bytes] = []
        while at < last.offset:
            count = min(last.offset - at, limits.PAGE_MESSAGES_MAX)
            page = await log.read(self.snapshots, 0, FromOffset(at), count=count, deadline=deadline)
            if not page.messages or page.messages[0].offset != at:
                return None
            payloads += (message.payload for message in page.messages)
            at = page.messages[-1].offset + 1
        return restored([*payloads, last.payload], self.made_us)
