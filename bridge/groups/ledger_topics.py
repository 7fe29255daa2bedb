"""The topics the ledger lives in (shell): made where they are missing; the newest snapshot and the key of the tokens in them.

The key that tokens are signed with stands in a topic beside the ledger. There every bridge of the log finds it, after any
restart, without being configured; whoever can read it there can write to the ledger itself. The first key in the topic's
order is the one: bridges that start at once agree by that.
"""

import secrets
from typing import Final, NamedTuple

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import NotFound, TopicError
from bridge.groups.ledger import LedgerState, piece_of, restored
from bridge.groups.tokens import TOKEN_KEY_BYTES
from bridge.messagelog import (
    First,
    FromOffset,
    Last,
    Message,
    MessageLog,
    NewMessage,
    Retention,
    ToPartition,
    TopicRef,
    ensure_topic,
)

LEDGER: Final = "ledger"
KEYS: Final = "keys"
_SNAPSHOTS: Final = "snapshots"
_KEY_FORMAT: Final = b"BGK1"
# How many of the newest messages may be no snapshot before it is taken as lost.
_STRANGERS_MAX: Final = 64
_RETENTIONS: Final = {
    LEDGER: Retention(age_s=limits.GROUP_LEDGER_AGE_S),
    # By size: the newest snapshot must outlive any pause.
    _SNAPSHOTS: Retention(size_bytes=limits.GROUP_SNAPSHOTS_BYTES_MAX),
    KEYS: Retention(),
}


class LedgerTopics(NamedTuple):
    """Where the ledger lives; *made_us* is when its topic was made, which tells it from one of the same name."""

    ledger: TopicRef
    snapshots: TopicRef
    keys: TopicRef
    made_us: int

    @classmethod
    async def find(cls, log: MessageLog, stream: str, *, deadline: Deadline) -> "LedgerTopics | None":
        """The topics in *stream*, None where the ledger is missing; nothing is made."""
        ledger, snapshots, keys = (TopicRef(stream, name) for name in _RETENTIONS)
        try:
            info = await log.topic(ledger, deadline=deadline)
        except NotFound:
            return None
        return cls(ledger, snapshots, keys, info.created_at_us)

    @classmethod
    async def ensure(cls, log: MessageLog, stream: str, *, deadline: Deadline) -> "LedgerTopics":
        """The topics in *stream*; made, with the stream, where they are missing."""
        for name, retention in _RETENTIONS.items():
            topic = TopicRef(stream, name)
            try:
                await log.partitions_count(topic, deadline=deadline)
            except NotFound:
                await ensure_topic(log, topic, retention=retention, with_stream=True, deadline=deadline)
        found = await cls.find(log, stream, deadline=deadline)
        if found is None:
            raise NotFound
        return found

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


async def token_key(log: MessageLog, topic: TopicRef, *, known: bytes | None, deadline: Deadline) -> bytes:
    """The key in *topic*, stored first where there is none.

    Args:
        known: the one used so far: where the topic was lost, tokens that were given out stay good.

    Raises:
        NotFound, LogError: as `MessageLog.read` and `append`.
    """
    found = await _first_key(log, topic, deadline)
    if found is None:
        made = known or secrets.token_bytes(TOKEN_KEY_BYTES)
        await log.append(topic, ToPartition(0), [NewMessage(_KEY_FORMAT + made)], deadline=deadline)
        found = await _first_key(log, topic, deadline)
    if found is None:
        raise TopicError("The key of the groups' tokens is not to be read.")
    return found


async def _first_key(log: MessageLog, topic: TopicRef, deadline: Deadline) -> bytes | None:
    page = await log.read(topic, 0, First(), count=limits.GROUP_LEDGER_PAGE_MESSAGES, deadline=deadline)
    for message in page.messages:
        payload = message.payload
        if payload.startswith(_KEY_FORMAT) and len(payload) == len(_KEY_FORMAT) + TOKEN_KEY_BYTES:
            return payload[len(_KEY_FORMAT) :]
    return None
