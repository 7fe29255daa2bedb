"""Payloads encrypted on their way into a log, and as they were sent on their way out (shell over `payloads.py`)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from bridge.clock import Deadline
from bridge.encryption.payloads import Covers, Payloads, Unopened
from bridge.limits import DATA_KEYS_MAX
from bridge.messagelog import (
    Appender,
    MessageLog,
    NewMessage,
    NewRecords,
    Page,
    Placement,
    Position,
    Receipt,
    TopicRef,
)

_log = structlog.get_logger("bridge.encryption")

#: The message header in which a dead letter says where it came from (`groups.dead_letters`).
DEAD_LETTER_TOPIC: Final = "dead-letter-topic"


class EncryptingAppender:
    """The write half of a `MessageLog`, which stores payloads of some topics encrypted.

    Args:
        covers: of which topics. A dead letter of one of them is encrypted as well, wherever it goes.
    """

    def __init__(self, appender: Appender, payloads: Payloads, covers: Covers) -> None:
        self._appender = appender
        self._payloads = payloads
        self._covers = covers

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        """As `MessageLog.append`; bounds hold for payloads as they are stored, `ENCRYPTION_OVERHEAD_BYTES` longer."""
        records = NewRecords.of(messages)
        if self._covers(topic) or self._is_of_covered(topic, records):
            records = self._payloads.sealed(topic, records)
        return await self._appender.append(topic, placement, records, deadline=deadline)

    def _is_of_covered(self, topic: TopicRef, records: NewRecords) -> bool:
        return any(
            isinstance(origin := headers.get(DEAD_LETTER_TOPIC), str)
            and self._covers(TopicRef(topic.stream, origin))
            for headers in records.headers.values()
        )


class DecryptingReader:
    """`MessageLog.read` that gives payloads as they were sent, whatever topic they are in.

    One that cannot be opened is given as it is stored, with a header that says why, so that nobody waits behind it.

    Args:
        unopened: told why and how many.
    """

    def __init__(
        self, log: MessageLog, payloads: Payloads, unopened: Callable[[Unopened, int], None]
    ) -> None:
        self._log = log
        self._payloads = payloads
        self._unopened = unopened
        self._told: set[tuple[TopicRef, Unopened]] = set()

    async def read(
        self, topic: TopicRef, partition_id: int, position: Position, *, count: int, deadline: Deadline
    ) -> Page:
        """As `MessageLog.read`."""
        page = await self._log.read(topic, partition_id, position, count=count, deadline=deadline)
        records, unopened = self._payloads.opened(topic, page.messages)
        if unopened:
            self.tell(topic, partition_id, unopened)
        return page if records is page.messages else Page(page.partition_id, page.end_offset, records)

    def tell(self, topic: TopicRef, partition_id: int, unopened: Mapping[int, Unopened]) -> None:
        """Count these, and log the first of each topic and reason."""
        for reason, number in Counter(unopened.values()).items():
            self._unopened(reason, number)
            # Once for each topic: a consumer may poll the same message a thousand times a second.
            if (topic, reason) not in self._told:
                if len(self._told) >= DATA_KEYS_MAX:
                    self._told.clear()
                self._told.add((topic, reason))
                _log.warning(
                    "payloads_not_decrypted",
                    **topic._asdict(),
                    partition_id=partition_id,
                    reason=reason.value,
                )
