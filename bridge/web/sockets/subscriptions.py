"""One topic that a socket follows (shell over `flow.following.follow`): messages as far as there are permits and room."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Final

from bridge.clock import Deadline
from bridge.errors import BadRequest
from bridge.flow.following.batches import RecordBatch, Start
from bridge.flow.following.fan_out import Sink
from bridge.flow.following.follow import Follower
from bridge.limits import FEED_BATCH_MESSAGES, READ_PAGE_MESSAGES, WS_PERMITS_MAX
from bridge.messagelog import Records, TopicRef
from bridge.policy.cursors import Cursors
from bridge.web.keys import Services
from bridge.web.live.forms import LiveForm
from bridge.web.sockets.answers import (
    SUBPROTOCOL,
    ResumePoint,
    gap_json,
    message_head,
    progress_json,
    subscribed_json,
)
from bridge.web.sockets.operations import Subscribe
from bridge.web.sockets.socket import Socket
from bridge.web.wire.cursors import read_cursor
from bridge.web.wire.pages import single_lines
from bridge.web.wire.times import start_of

# Between two words on what the filter holds back.
_PROGRESS_S: Final = 1.0
_FROM: Final = "'from' takes first, last, or an RFC 3339 time with a zone."
# The part that is the same for all who follow the same feed; what stands before it names the subscription.
_PIECE: Final = b',"cursor":"%b","message":%b}'


class Permits:
    """How many messages may still be sent, and a way to wait for more.

    Attributes:
        count: 0..`WS_PERMITS_MAX`.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._more = asyncio.Event()

    def add(self, count: int) -> None:
        """So many more.

        Raises:
            BadRequest: if that would be too many; then none is added.
        """
        if self.count + count > WS_PERMITS_MAX:
            raise BadRequest(
                f"A subscription holds at most {WS_PERMITS_MAX} permits.",
                path="$.count",
                limit=WS_PERMITS_MAX,
            )
        self.count += count
        self._more.set()

    async def wait(self) -> None:
        """Until there is one."""
        while not self.count:
            self._more.clear()
            await self._more.wait()


class MessageForm(LiveForm):
    """How one subscription's messages are written; those whose forms have the same *key* share the bytes."""

    @property
    def key(self) -> Hashable:
        """For `RecordBatch.encoded`: within one feed all else is the same."""
        return SUBPROTOCOL, self.event_types

    def pieces(self, batch: RecordBatch) -> list[bytes]:
        """The messages of *batch* that the filter lets through, each to be preceded by the subscription's beginning."""
        written = batch.encoded(self.key, self._written)
        return written.split(b"\n") if written else []

    def first_pieces(self, batch: RecordBatch, messages_max: int) -> tuple[list[bytes], int | None]:
        """The first of them, made for one reader alone; and where the next one is to be looked for, None if these are all."""
        records = self.passed(batch)
        part = records.part(0, messages_max)
        following = part.offsets[-1] + 1 if len(part) < len(records) else None
        return self._spelled(batch, part), following

    def _written(self, batch: RecordBatch) -> bytes:
        return b"\n".join(self._spelled(batch, self.passed(batch)))

    def _spelled(self, batch: RecordBatch, records: Records) -> list[bytes]:
        if not records:
            return []
        tokens, objects = self.shown(batch, records)
        return list(map(_PIECE.__mod__, zip(tokens, single_lines(objects), strict=True)))


def beginning_of(asked: Subscribe, topic: TopicRef, cursors: Cursors) -> tuple[Start, tuple[int, ...] | None]:
    """Where *asked* begins, and of which partitions it is; None for all, those added later too.

    Raises:
        BadRequest: if its cursor is none of this topic, or of other partitions; or `from` is neither word nor time.
    """
    partitions = None if asked.partitions is None else tuple(sorted(asked.partitions))
    if asked.cursor is not None:
        try:
            return read_cursor(asked.cursor, cursors, topic, partitions)
        except BadRequest as error:
            error.path = f"$.{error.path}"
            raise
    return start_of(asked.from_ or "last", path="$.from", takes=_FROM), partitions


class TopicSubscription:
    """Follows a topic, or some of its partitions.

    Nothing is taken without a permit, and nothing is kept that was not sent: where permits or room end within a batch,
    the follower goes on from there later. So a reader that wants nothing holds nothing.

    Attributes:
        topic: which it follows.
        begun: the client was told `subscribed`.
        left: where it stands after what was sent, and behind what the filter held back.
    """

    def __init__(
        self, services: Services, socket: Socket, asked: Subscribe, topic: TopicRef, deadline: Deadline
    ) -> None:
        self.permits = Permits(asked.permits)
        self._services = services
        self._socket = socket
        self._asked = asked
        self.topic = topic
        self._deadline = deadline
        self._head = message_head(asked.id)
        self._form: MessageForm | None = None
        self._follower: Follower | None = None
        self._progress_s = 0.0

    @property
    def begun(self) -> bool:
        return self._form is not None

    @property
    def left(self) -> ResumePoint:
        form, follower = self._form, self._follower
        cursor = None if form is None or follower is None else form.cursor(follower.positions)
        return ResumePoint(self._asked.id, cursor)

    async def run(self) -> None:
        """Send what there is, until cancelled.

        Raises:
            BridgeError: if there can be no more, or it could not begin.
        """
        services, asked = self._services, self._asked
        start, partitions = beginning_of(asked, self.topic, services.cursors)
        follower = self._follower = await services.feeds.follow(
            self.topic, start, partitions=partitions, deadline=self._deadline
        )
        try:
            event_types = frozenset(asked.event_type or ())
            form = self._form = MessageForm(
                services.cursors, services.pages, self.topic, follower.every, event_types
            )
            cursor = form.cursor(follower.positions)
            self._socket.send(
                subscribed_json(asked.id, self.topic, cursor=cursor, group=None, permits=self.permits.count)
            )
            await self._drain()
            await follower.run(Sink(form.key, tuple, self._write, self._drain, self._wanted))
        finally:
            follower.close()

    @property
    def _has_room(self) -> bool:
        return self.permits.count > 0 and not self._socket.full

    async def _drain(self) -> None:
        """Until there is a permit, and room for more."""
        while not self._has_room:
            await (self._socket.writable() if self._socket.full else self.permits.wait())

    def _wanted(self) -> int:
        """Not more than can be sent; of what is filtered some more, since most of it may not be wanted."""
        least = FEED_BATCH_MESSAGES if self._asked.event_type else 1
        return min(max(self.permits.count, least), READ_PAGE_MESSAGES)

    def _write(self, batches: Sequence[RecordBatch]) -> bool:
        """Send as far as there are permits and room; whether there may be more."""
        form, follower = self._form, self._follower
        if form is None or follower is None:
            raise RuntimeError("nothing is written before it has begun")
        for batch in batches:
            if batch.gap is not None:
                self._socket.send(gap_json(self._asked.id, form.cursor(batch.positions_after), batch.gap))
                continue
            if not self._has_room:
                follower.cut(batch, batch.records.offsets[0])
                return False
            following = None
            if len(batch.records) <= self.permits.count:
                pieces = form.pieces(batch)
            else:
                pieces, following = form.first_pieces(batch, self.permits.count)
            if not pieces:
                self._tell_progress(form, batch)
                continue
            self.permits.count -= len(pieces)
            self._socket.send(*(self._head + piece for piece in pieces))
            if following is not None:
                follower.cut(batch, following)
                return False
        return self._has_room

    def _tell_progress(self, form: MessageForm, batch: RecordBatch) -> None:
        """The filter let none of *batch* pass: now and then a word on where that leads."""
        now_s = self._services.clock.monotonic_s()
        if now_s >= self._progress_s:
            self._progress_s = now_s + _PROGRESS_S
            self._socket.send(progress_json(self._asked.id, form.cursor(batch.positions_after)))
