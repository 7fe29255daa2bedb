"""Messages of one long body on their way into the log, batch after batch (shell)."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from bridge.clock import Clock, Deadline
from bridge.errors import let_go
from bridge.limits import NDJSON_BATCH_BYTES, NDJSON_BATCH_MESSAGES, NDJSON_BATCH_MESSAGES_MAX
from bridge.messagelog import Appender, Durability, Headers, NewMessage, NewRecords, Placement, TopicRef
from bridge.web.wire.bulk import StoredRanges


class BulkWriter:
    """Commits as soon as `NDJSON_BATCH_MESSAGES` or `NDJSON_BATCH_BYTES` wait, and meanwhile the next batch fills.

    One batch is in flight at a time: order is that of the body, and where one fails nothing after it was written.
    No more than `NDJSON_BATCH_MESSAGES_MAX` or as many bytes wait; whoever adds more waits for room, and so does the sender of
    the body in the end.

    Args:
        headers: of every message that has none of its own.
        batch_timeout_s: for each batch by itself.

    Attributes:
        stored: messages that are surely in the log.
        stored_to: number of the line of the last of them, 0 for none.
        ranges: where they are.
        durability: what that means; None as long as there are none.
    """

    def __init__(
        self,
        appender: Appender,
        topic: TopicRef,
        placement: Placement,
        *,
        headers: Headers,
        clock: Clock,
        batch_timeout_s: float,
    ) -> None:
        self._appender = appender
        self._topic = topic
        self._placement = placement
        self._headers = headers
        self._clock = clock
        self._batch_timeout_s = batch_timeout_s
        self._payloads: list[bytes] = []
        self._messages: list[NewMessage] = []
        self._lines: list[int] = []
        self._bytes = 0
        self._partial_may_go = False
        self._closing = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.stored = 0
        self.stored_to = 0
        self.ranges = StoredRanges()
        self.durability: Durability | None = None
        #: Ends when `close` was called and all is stored, or with the error of the first batch that failed.
        self.task = asyncio.create_task(self._run(), name="bulk writer")

    async def add(self, payloads: Sequence[bytes], lines: Sequence[int]) -> None:
        """Take a message of each of *payloads*, which stood in these *lines*, and wait as long as too many wait.

        Raises:
            BridgeError: what `MessageLog.append` raised for a batch before them; they are not written.
        """
        self._payloads += payloads
        self._lines += lines
        self._bytes += sum(map(len, payloads))
        if self._is_worth_a_commit():
            self._wake.set()
        while self._is_full():
            if self.task.done():
                await self.task
            self._room.clear()
            await self._room.wait()

    async def add_messages(self, messages: Sequence[NewMessage], lines: Sequence[int]) -> None:
        """The same for messages that have ids and headers of their own, in a body of nothing else.

        Raises:
            BridgeError: as `add`.
        """
        self._messages += messages
        await self.add([message.payload for message in messages], lines)

    def let_partial_go(self, may_go: bool) -> None:
        """Whether a batch that is not full may be committed: while nothing comes in, waiting for more wins nothing."""
        self._partial_may_go = may_go
        if may_go and self._payloads:
            self._wake.set()

    async def close(self) -> None:
        """Commit what waits.

        Raises:
            BridgeError: what `MessageLog.append` raised; later batches are not written.
        """
        self._closing = True
        self._wake.set()
        await self.task

    async def abandon(self) -> None:
        """End at once; of a batch in flight nothing is known."""
        self.task.cancel()
        await asyncio.wait((self.task,))
        try:
            # Looked at, so that nothing warns of it.
            self.task.result()
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001 (who waited for it has been told)
            # Its frames hold what was not written, and this object, which holds the task.
            let_go(error)

    def _is_worth_a_commit(self) -> bool:
        return len(self._payloads) >= NDJSON_BATCH_MESSAGES or self._bytes >= NDJSON_BATCH_BYTES

    def _is_full(self) -> bool:
        return len(self._payloads) >= NDJSON_BATCH_MESSAGES_MAX or self._bytes >= NDJSON_BATCH_BYTES

    async def _run(self) -> None:
        try:
            while True:
                if self._is_worth_a_commit() or (self._payloads and (self._partial_may_go or self._closing)):
                    await self._commit()
                elif self._closing:
                    return
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._room.set()

    async def _commit(self) -> None:
        batch = self._batch()
        count = len(batch)
        last_line = self._lines[count - 1]
        del self._payloads[:count], self._messages[:count], self._lines[:count]
        self._bytes -= batch.payload_bytes
        self._room.set()
        receipt = await self._appender.append(
            self._topic, self._placement, batch, deadline=Deadline.after(self._batch_timeout_s, self._clock)
        )
        self.stored += count
        self.stored_to = last_line
        self.ranges.add(receipt)
        self.durability = receipt.durability

    def _batch(self) -> NewRecords:
        """Of what waits, as much as fits; one at least."""
        if self._messages:
            waiting = NewRecords.of(self._messages[:NDJSON_BATCH_MESSAGES_MAX])
        else:
            waiting = NewRecords.unnamed(self._payloads[:NDJSON_BATCH_MESSAGES_MAX], self._headers)
        return waiting.part(0, max(1, bisect_right(waiting.ends, NDJSON_BATCH_BYTES)))
