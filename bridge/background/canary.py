"""A message that is stored and read back, to see that the whole way works (shell)."""

import asyncio
import secrets
from contextlib import suppress
from typing import Final, NamedTuple

from bridge.clock import Clock, Deadline
from bridge.errors import BridgeError, NotFound, PollError
from bridge.limits import CANARY_FRESH_S, CANARY_RETENTION_AGE_S, CANARY_TIMEOUT_S
from bridge.messagelog import (
    FromOffset,
    Last,
    MessageLog,
    NewMessage,
    Receipt,
    Retention,
    ToPartition,
    TopicRef,
    ensure_topic,
)
from bridge.telemetry.metrics import CanaryMetrics

CANARY_TOPIC: Final = "canary"
_PAYLOAD_BYTES: Final = 32


class RoundTrip(NamedTuple):
    """How the last one went.

    Attributes:
        ok: what was stored came back.
        detail: why it did not; else empty.
        seconds: from the append to the message in hand, or to the failure.
    """

    ok: bool
    detail: str
    seconds: float


class Canary:
    """Stores a message of random bytes in a topic of the bridge's own and reads it at the place that the receipt tells.

    Args:
        log: as requests use it, but without the appender: a round trip waits for no batch.
        stream: of the bridge's own; made with the topic where it is missing.
    """

    def __init__(self, log: MessageLog, stream: str, *, clock: Clock, metrics: CanaryMetrics) -> None:
        self._log = log
        self._topic = TopicRef(stream, CANARY_TOPIC)
        self._clock = clock
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._last: RoundTrip | None = None
        self._last_at_s = 0.0

    async def look(self) -> RoundTrip:
        """The last round trip if it was within `CANARY_FRESH_S`, else one more; who asks meanwhile shares it."""
        async with self._turn:
            if self._last is None or self._clock.monotonic_s() - self._last_at_s > CANARY_FRESH_S:
                with suppress(BridgeError):
                    await self._round_trip()
        if self._last is None:
            raise RuntimeError("a round trip ended without a result")
        return self._last

    async def step(self) -> None:
        """One round trip; for `supervise`.

        Raises:
            BridgeError: if it failed.
        """
        async with self._turn:
            await self._round_trip()

    async def _round_trip(self) -> None:
        begun_s = self._clock.monotonic_s()
        try:
            await self._store_and_read(Deadline.after(CANARY_TIMEOUT_S, self._clock))
        except BridgeError as error:
            self._metrics.failures.add(error.code)
            self._note(error.detail, begun_s)
            raise
        self._metrics.round_trip_s.at().observe(self._note("", begun_s))

    def _note(self, detail: str, begun_s: float) -> float:
        self._last_at_s = self._clock.monotonic_s()
        seconds = self._last_at_s - begun_s
        self._last = RoundTrip(not detail, detail, seconds)
        return seconds

    async def _store_and_read(self, deadline: Deadline) -> None:
        message = NewMessage(secrets.token_bytes(_PAYLOAD_BYTES))
        try:
            receipt = await self._store(message, deadline)
        except NotFound:
            await ensure_topic(
                self._log,
                self._topic,
                retention=Retention(age_s=CANARY_RETENTION_AGE_S),
                with_stream=True,
                deadline=deadline,
            )
            receipt = await self._store(message, deadline)
        # Iggy may confirm without saying where.
        place = Last() if receipt.offset is None else FromOffset(receipt.offset)
        page = await self._log.read(self._topic, receipt.partition_id, place, count=1, deadline=deadline)
        if not page.messages or (receipt.offset is not None and page.messages[0].payload != message.payload):
            raise PollError("What was stored did not come back from the place that its receipt told.")

    async def _store(self, message: NewMessage, deadline: Deadline) -> Receipt:
        return await self._log.append(self._topic, ToPartition(0), (message,), deadline=deadline)
