"""One topic that a socket follows (shell over `flow.follow`): messages as far as there are permits and room."""

import asyncio
from collections import deque
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from bridge.clock import Clock, Deadline
from bridge.errors import BadRequest
from bridge.flow.following.batches import Positions, RecordBatch, Run, Start
from bridge.flow.following.follow import Follower
from bridge.limits import LIVE_WRITE_BYTES, WS_KEEP_S
from bridge.messagelog import First, FromTimestamp, Last, TopicRef
from bridge.policy.cursors import Cursors
from bridge.web.keys import Services
from bridge.web.sockets.answers import ResumePoint, gap_json, message_head, progress_json, subscribed_json
from bridge.web.sockets.messages import CURSOR_WITHIN, MessageForm, cursor_of
from bridge.web.sockets.operations import Subscribe
from bridge.web.sockets.permits import Permits
from bridge.web.sockets.socket import Socket
from bridge.web.wire.queries import parse_time

__all__ = ("Place", "Subscription", "TopicSubscription", "place_of")

# Between two words on what the filter holds back.
_PROGRESS_S: Final = 1.0


class Subscription(Protocol):
    """What the session asks of one, whatever it is to."""

    permits: Permits

    @property
    def begun(self) -> bool:
        """Whether the client was told `subscribed`."""
        ...

    @property
    def left(self) -> ResumePoint:
        """Where it stands after what was sent."""
        ...

    async def run(self) -> None:
        """
        Send what there is, until cancelled.

        Raises:
            BridgeError: if there can be no more, or it could not begin.
        """
        ...


class Place(NamedTuple):
    """Where a subscription begins, and of which partitions it is; None for all, those added later too."""

    start: Start
    partitions: tuple[int, ...] | None


def place_of(asked: Subscribe, topic: TopicRef, cursors: Cursors) -> Place:
    """
    What *asked* says of its beginning.

    Raises:
        BadRequest: if its cursor is none of this topic, or of other partitions; or `from` is neither word nor time.
    """
    named = None if asked.partitions is None else tuple(sorted(asked.partitions))
    if asked.cursor is not None:
        try:
            cursor = cursors.read(asked.cursor, topic)
        except BadRequest as error:
            error.path = "$.cursor"
            raise
        if cursor.every:
            return Place(cursor.positions, named)
        held = tuple(partition_id for partition_id, _ in cursor.positions)
        if named is not None and named != held:
            raise BadRequest("The cursor is of other partitions.", path="$.partitions")
        return Place(cursor.positions, held)
    match asked.from_:
        case None | "last":
            return Place(Last(), named)
        case "first":
            return Place(First(), named)
        case text:
            return Place(FromTimestamp(_time(text)), named)


def _time(text: str) -> int:
    try:
        return parse_time(text, name="from", takes="")
    except BadRequest:
        raise BadRequest(
            "'from' takes first, last, or an RFC 3339 time with a zone.", path="$.from"
        ) from None


class TopicSubscription:
    """
    Follows a topic, or some of its partitions.

    What is taken from the feed and not sent yet is one run of it at most; nothing is taken without a permit. Who waits for
    permits or for his socket soon lets go of it, and reads it again: so a reader that wants nothing holds nothing.
    """

    __slots__ = (
        "_asked", "_clock", "_deadline", "_entries", "_follower", "_form", "_head", "_last", "_opened", "_passed", "_pieces",
        "_progress_s", "_services", "_socket", "_told", "_topic", "_untouched", "permits",
    )  # fmt: skip

    def __init__(
        self, services: Services, socket: Socket, asked: Subscribe, topic: TopicRef, deadline: Deadline
    ) -> None:
        self.permits = Permits(asked.permits)
        self._services = services
        self._socket = socket
        self._asked = asked
        self._topic = topic
        self._deadline = deadline
        self._clock: Clock = services.clock
        self._head = message_head(asked.id)
        self._form: MessageForm | None = None
        # What is taken and not sent: the rest of one entry, and the entries after it.
        self._pieces: deque[bytes] = deque()
        self._entries: deque[RecordBatch] = deque()
        # Whose pieces they are, and whether none of them was sent.
        self._opened: RecordBatch | None = None
        self._untouched = True
        self._follower: Follower | None = None
        # The cursor that the client was told last, or the beginning of the message that was sent after it.
        self._told: str | None = None
        self._last: bytes | None = None
        # Where the filter has held everything back since the last word to the client.
        self._passed: Positions | None = None
        self._progress_s = 0.0

    @property
    def begun(self) -> bool:
        """As `Subscription.begun`."""
        return self._told is not None

    @property
    def left(self) -> ResumePoint:
        """As `Subscription.left`: behind what the filter held back too."""
        cursor = self._told
        if self._passed is not None and self._form is not None:
            cursor = self._form.cursor(self._passed)
        elif self._last is not None:
            cursor = cursor_of(self._last.removeprefix(self._head))
        return ResumePoint(self._asked.id, cursor)

    async def run(self) -> None:
        """As `Subscription.run`."""
        services = self._services
        place = place_of(self._asked, self._topic, services.cursors)
        follower = await services.feeds.follow(
            self._topic, place.start, partitions=place.partitions, deadline=self._deadline
        )
        self._follower = follower
        try:
            event_types = frozenset(self._asked.event_type or ())
            self._form = MessageForm(
                services.cursors, services.pages, self._topic, follower.every, event_types
            )
            self._told = self._form.cursor(follower.positions)
            self._socket.send(
                subscribed_json(
                    self._asked.id, self._topic, cursor=self._told, group=None, permits=self.permits.count
                )
            )
            while True:
                await self._drain()
                await self._take_runs(follower)
                self._let_go()
        finally:
            follower.close()

    async def _take_runs(self, follower: Follower) -> None:
        """Until the client has long had no permit or no room: what gives the runs holds a page, and so does a run."""
        async with aclosing(follower.runs(sink=self._live, drain=self._drain)) as runs:
            async for run in runs:
                self._take(run)
                # What was sent is not to be held until there is more.
                del run
                if not await self._sent_on():
                    return

    def _live(self, run: Run) -> bool:
        """Send at once; whether there may be another run."""
        self._take(run)
        return self.permits.count > 0 and not self._entries and not self._pieces and not self._socket.full

    async def _drain(self) -> None:
        """As `_sent_on`, and then wait until there is a permit and room for more, holding nothing."""
        holds = bool(self._entries or self._pieces)
        if not holds or not await self._sent_on():
            self._let_go()
            while not self._may_send:
                await self._may_go_on()

    async def _sent_on(self) -> bool:
        """Send what is taken as there are permits and room; False if it had to wait too long for either."""
        keeps = self._services.feeds.keeps
        while True:
            if self._may_send:
                if not (self._entries or self._pieces):
                    return True
                self._send_on()
            elif keeps.locked():
                return False
            else:
                async with keeps:
                    try:
                        async with asyncio.timeout(WS_KEEP_S):
                            await self._may_go_on()
                    except TimeoutError:
                        return False

    @property
    def _may_send(self) -> bool:
        return self.permits.count > 0 and not self._socket.full

    async def _may_go_on(self) -> None:
        if self._socket.full:
            await self._socket.writable()
        else:
            await self.permits.wait()

    def _let_go(self) -> None:
        """Forget what is taken and not sent: the follower gives it again."""
        opened, follower = self._opened, self._follower
        if follower is not None and self._form is not None:
            if self._pieces and opened is not None:
                positions = opened.positions_before
                if not self._untouched and self._last is not None:
                    token = cursor_of(self._last.removeprefix(self._head))
                    positions = self._services.cursors.read(token, self._topic).positions
                follower.rewind(opened, positions)
            elif self._entries:
                follower.rewind(self._entries[0], self._entries[0].positions_before)
        self._pieces.clear()
        self._entries.clear()
        self._opened = None

    def _take(self, run: Run) -> None:
        self._entries += run.entries
        self._send_on()

    def _send_on(self) -> None:
        """Send until permits, room or what is taken ends."""
        while not self._socket.full:
            if self._pieces:
                if not self.permits.count:
                    return
                self._send_pieces()
            elif self._entries:
                self._open(self._entries.popleft())
            else:
                return

    def _send_pieces(self) -> None:
        pieces, head = self._pieces, self._head
        messages = [head + pieces.popleft()]
        size_bytes = len(messages[0])
        while pieces and len(messages) < self.permits.count and size_bytes < LIVE_WRITE_BYTES:
            messages.append(head + pieces.popleft())
            size_bytes += len(messages[-1])
        self.permits.count -= len(messages)
        self._untouched = False
        if not pieces:
            self._opened = None
        # Not all of it: it may be large, and the cursor stands at its beginning.
        self._last, self._passed = messages[-1][: len(head) + CURSOR_WITHIN], None
        self._socket.send(*messages)

    def _open(self, entry: RecordBatch) -> None:
        form = self._form
        if form is None:
            raise RuntimeError("nothing is taken before there is a form")
        if entry.gap is not None:
            cursor = self._tell(form.cursor(entry.positions_after))
            self._socket.send(gap_json(self._asked.id, cursor, entry.gap))
            return
        self._pieces.extend(form.pieces(entry))
        if self._pieces:
            self._opened, self._untouched = entry, True
            return
        self._passed = entry.positions_after
        now_s = self._clock.monotonic_s()
        if now_s >= self._progress_s:
            self._progress_s = now_s + _PROGRESS_S
            self._socket.send(progress_json(self._asked.id, self._tell(form.cursor(self._passed))))

    def _tell(self, cursor: str) -> str:
        self._told, self._passed, self._last = cursor, None, None
        return cursor
