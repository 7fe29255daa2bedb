"""The messages that one socket publishes (shell): stored in the order they came, and each answered."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import structlog

from bridge.clock import Clock, Deadline
from bridge.errors import BridgeError, DeadlineExceeded, InternalError, NotFound, Outcome, RequestError
from bridge.limits import WS_PUBLISH_BYTES_MAX, WS_PUBLISHES_MAX
from bridge.messagelog import Appender, NewMessage, Placement, Receipt, TopicRef

__all__ = ("OnAnswer", "Publication", "Publisher")

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
