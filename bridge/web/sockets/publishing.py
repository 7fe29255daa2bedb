"""The messages that one socket publishes (shell): stored in the order they came, and each answered."""

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import structlog
from msgspec import UNSET

from bridge.clock import Clock, Deadline
from bridge.errors import (
    BadRequest,
    BridgeError,
    DeadlineExceeded,
    InternalError,
    NotFound,
    Outcome,
    RequestError,
)
from bridge.limits import WS_PUBLISH_BYTES_MAX, WS_PUBLISHES_MAX
from bridge.messagelog import (
    Appender,
    Balanced,
    Headers,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
)
from bridge.policy.names import check_name
from bridge.web.sockets.operations import Publish, Subscribe, base64_payload
from bridge.web.wire.bulk import message_headers
from bridge.web.wire.submissions import placement_of, read_message

__all__ = ("OnAnswer", "Publication", "Publisher", "publication_of", "topic_of")

_log = structlog.get_logger("bridge.web")
# Those whose time ends so close to each other are stored together, with the time of the first.
_TOGETHER_S: Final = 1.0


class Publication(NamedTuple):
    """One message on its way.

    Attributes:
        operation_id: as the client named it.
        message_id: as UUIDs are written.
        is_event: it was checked as one.
        accepted_us: when it came.
    """

    operation_id: str
    topic: TopicRef
    placement: Placement
    message: NewMessage
    message_id: str
    is_event: bool
    accepted_us: int
    deadline: Deadline


OnAnswer: TypeAlias = Callable[[Publication, Receipt | BridgeError], None]
"""Called once for each: it is stored, or why it is not, with its `outcome`."""

_Lane: TypeAlias = tuple[TopicRef, Placement]


class Publisher:
    """
    Stores what comes, one append at a time for each topic and placement, so that messages of one key keep their order.

    What comes while an append is in flight goes with the next one, together.

    Args:
        answered: told of each message, in order within its lane.
    """

    __slots__ = ("_answered", "_appender", "_bytes", "_clock", "_lanes", "_pending", "_tasks")

    def __init__(self, appender: Appender, clock: Clock, answered: OnAnswer) -> None:
        self._appender = appender
        self._clock = clock
        self._answered = answered
        self._lanes: dict[_Lane, deque[Publication]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[int, Publication] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether enough waits for an answer already."""
        return len(self._pending) >= WS_PUBLISHES_MAX or self._bytes >= WS_PUBLISH_BYTES_MAX

    def publish(self, publication: Publication) -> None:
        """Take it; the answer comes by itself."""
        self._pending[id(publication)] = publication
        self._bytes += len(publication.message.payload)
        lane = publication.topic, publication.placement
        queue = self._lanes.get(lane)
        if queue is not None:
            queue.append(publication)
            return
        self._lanes[lane] = queue = deque((publication,))
        task = asyncio.create_task(self._run(lane, queue), name="publish")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Until all are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self, error: BridgeError) -> None:
        """There is no more time: what is not answered may be stored or not, and is told *error*."""
        for task in self._tasks:
            task.cancel()
        for publication in tuple(self._pending.values()):
            self._answer(publication, error)

    def forget_listener(self) -> None:
        """Nobody is left to be told; until then this and who listens hold each other."""
        self._answered = _unheard

    async def _run(self, lane: _Lane, queue: deque[Publication]) -> None:
        try:
            while queue:
                batch = self._batch(queue)
                if batch:
                    await self._store(lane, batch)
        finally:
            del self._lanes[lane]

    def _batch(self, queue: deque[Publication]) -> list[Publication]:
        """The oldest, and those after it that have about as much time; whose time is up is told so."""
        batch: list[Publication] = []
        while queue:
            publication = queue[0]
            if not publication.deadline.remaining_s():
                self._answer(queue.popleft(), DeadlineExceeded(outcome=Outcome.NOT_WRITTEN))
            elif batch and publication.deadline.at_s - batch[0].deadline.at_s > _TOGETHER_S:
                break
            else:
                batch.append(queue.popleft())
        return batch

    async def _store(self, lane: _Lane, batch: list[Publication]) -> None:
        topic, placement = lane
        messages = [publication.message for publication in batch]
        try:
            receipt = await self._appender.append(topic, placement, messages, deadline=batch[0].deadline)
        except BridgeError as error:
            if len(batch) > 1 and isinstance(error, RequestError) and not isinstance(error, NotFound):
                # One of them is refused for itself, and nothing was written: only its owner shall hear of it.
                for publication in batch:
                    await self._store(lane, [publication])
                return
            for publication in batch:
                self._answer(publication, copy.copy(error))
        except Exception:  # noqa: BLE001 (the client must hear of it, and the lane must go on)
            _log.exception("publish_failed", messages=len(batch))
            for publication in batch:
                self._answer(publication, InternalError(outcome=Outcome.UNKNOWN))
        else:
            for index, publication in enumerate(batch):
                offset = None if receipt.offset is None else receipt.offset + index
                self._answer(publication, receipt._replace(offset=offset, messages_count=1))

    def _answer(self, publication: Publication, answer: Receipt | BridgeError) -> None:
        if self._pending.pop(id(publication), None) is None:
            return
        self._bytes -= len(publication.message.payload)
        self._answered(publication, answer)


def _unheard(_: Publication, __: Receipt | BridgeError) -> None:
    """The socket has ended."""


_HEADER: Final = "message-header-"


def topic_of(operation: Publish | Subscribe, default: TopicRef) -> TopicRef:
    """
    The topic that *operation* names, or the default one where it names none.

    Raises:
        BadRequest: if none may be called so.
    """
    if operation.stream is None or operation.topic is None:
        return default
    for kind, name in (("stream", operation.stream), ("topic", operation.topic)):
        try:
            check_name(name, kind=kind)
        except BadRequest as error:
            error.path = f"$.{kind}"
            raise
    return TopicRef(operation.stream, operation.topic)


def publication_of(asked: Publish, topic: TopicRef, *, accepted_us: int, deadline: Deadline) -> Publication:
    """
    The message that *asked* is about.

    Raises:
        SerializationError: if its event is none; `path` says where.
        BadRequest: if it is empty, or its key or headers are out of bounds.
    """
    placement = _placement(asked)
    if asked.event is not UNSET:
        # As the body of a POST, whose paths are then right here as well.
        submission = read_message(b'{"event":%b}' % bytes(asked.event))
        message_id, message = submission.event_ids[0], submission.messages[0]
    else:
        made = uuid.uuid4()
        message_id, message = str(made), NewMessage(_payload(asked), made.int, _headers(asked))
    return Publication(
        operation_id=asked.id,
        topic=topic,
        placement=placement,
        message=message,
        message_id=message_id,
        is_event=asked.event is not UNSET,
        accepted_us=accepted_us,
        deadline=deadline,
    )


def _placement(asked: Publish) -> Placement:
    if asked.partition_id is not None:
        return ToPartition(asked.partition_id)
    if asked.partition_key is not None:
        return placement_of(asked.partition_key, path="$.partition_key")
    return Balanced()


def _payload(asked: Publish) -> bytes:
    if asked.payload is not UNSET:
        return bytes(asked.payload)
    if asked.text is not UNSET:
        path, payload = "$.text", asked.text.encode()
    else:
        path, payload = "$.payload_base64", base64_payload(asked.payload_base64 or "")
    if not payload:
        raise BadRequest("The message is empty; it has at least one byte.", path=path, limit=1)
    return payload


def _headers(asked: Publish) -> Headers:
    try:
        return message_headers((_HEADER + name, value) for name, value in (asked.headers or {}).items())
    except RequestError as error:
        error.path = "$.headers"
        raise
