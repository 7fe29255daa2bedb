"""
The key that tokens are signed with, kept in the log beside the ledger (shell).

There every bridge of the log finds it, after any restart, without being configured; whoever can read it there can write to
the ledger itself. The first key in the topic's order is the one: bridges that start at once agree by that.
"""

import secrets
from typing import Final

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import TopicError
from bridge.groups.tokens import TOKEN_KEY_BYTES
from bridge.messagelog import First, MessageLog, NewMessage, ToPartition, TopicRef

__all__ = ("KEYS", "token_key")

KEYS: Final = "keys"
_FORMAT: Final = b"BGK1"


async def token_key(log: MessageLog, topic: TopicRef, *, known: bytes | None, deadline: Deadline) -> bytes:
    """
    The key in *topic*, stored first where there is none.

    Args:
        known: the one used so far: where the topic was lost, tokens that were given out stay good.

    Raises:
        NotFound, LogError: as `MessageLog.read` and `append`.
    """
    found = await _first(log, topic, deadline)
    if found is None:
        made = known or secrets.token_bytes(TOKEN_KEY_BYTES)
        await log.append(topic, ToPartition(0), [NewMessage(_FORMAT + made)], deadline=deadline)
        found = await _first(log, topic, deadline)
    if found is None:
        raise TopicError("The key of the groups' tokens is not to be read.")
    return found


async def _first(log: MessageLog, topic: TopicRef, deadline: Deadline) -> bytes | None:
    page = await log.read(topic, 0, First(), count=limits.GROUP_LEDGER_PAGE_MESSAGES, deadline=deadline)
    for message in page.messages:
        payload = message.payload
        if payload.startswith(_FORMAT) and len(payload) == len(_FORMAT) + TOKEN_KEY_BYTES:
            return payload[len(_FORMAT) :]
    return None
