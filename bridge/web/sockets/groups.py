"""One group that a socket receives from (shell over `groups.engine`): messages under leases, as far as there are permits."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bridge.clock import Deadline
from bridge.errors import BridgeError, LogError
from bridge.groups.partition import AckOutcome
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery, TokenResult, ref_of
from bridge.limits import (
    TAIL_RETRY_S_MAX,
    TAIL_RETRY_S_MIN,
    WS_RECEIVE_MESSAGES_MAX,
    WS_RECEIVE_WAIT_S,
    WS_UNACKED_MAX,
)
from bridge.messagelog import TopicRef
from bridge.web.keys import Services
from bridge.web.sockets.answers import ResumePoint, acks_frame_json, message_head, subscribed_json
from bridge.web.sockets.operations import Acknowledgement, Extend, Nack, Subscribe
from bridge.web.sockets.socket import Socket
from bridge.web.sockets.subscriptions import Permits
from bridge.web.wire.groups import arguments_as_fields, delivery_lines, messages_of, token_results_json
from bridge.web.wire.heavy_pages import made_ready

_MESSAGE: Final = b'%b,"message":%b}'


class GroupSubscription:
    """Receives as one of a group's consumers.

    Attributes:
        topic, begun, left: as of a `TopicSubscription`.
        unacked: tokens that the client has.
    """

    def __init__(
        self,
        services: Services,
        socket: Socket,
        asked: Subscribe,
        topic: TopicRef,
        group: str,
        *,
        timeout_s: float,
    ) -> None:
        self.permits = Permits(asked.permits)
        self.begun = False
        self._services = services
        self._socket = socket
        self._asked = asked
        self.topic = topic
        self._group = group
        self._timeout_s = timeout_s
        self._head = message_head(asked.id)
        # A dictionary for its order.
        self.unacked: dict[str, None] = {}
        self._room = asyncio.Event()

    @property
    def left(self) -> ResumePoint:
        return ResumePoint(self._asked.id, None)

    async def run(self) -> None:
        """As `TopicSubscription.run`; an outage of the log is waited out."""
        await self._begin()
        delay_s = TAIL_RETRY_S_MIN
        while True:
            await self.permits.wait()
            await self._socket.writable()
            while len(self.unacked) >= WS_UNACKED_MAX:
                self._room.clear()
                await self._room.wait()
            try:
                deliveries = await self._receive()
            except LogError:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, TAIL_RETRY_S_MAX)
                continue
            delay_s = TAIL_RETRY_S_MIN
            if deliveries:
                await self._send(deliveries)

    async def _begin(self) -> None:
        with arguments_as_fields():
            ref_of(self.topic, self._group)
        await self._services.log.partitions_count(self.topic, deadline=self._deadline())
        self.begun = True
        self._socket.send(
            subscribed_json(
                self._asked.id, self.topic, cursor=None, group=self._group, permits=self.permits.count
            )
        )

    async def _receive(self) -> tuple[Delivery, ...]:
        return await self._services.groups.receive(
            self.topic,
            self._group,
            count=min(self.permits.count, WS_RECEIVE_MESSAGES_MAX, WS_UNACKED_MAX - len(self.unacked)),
            wait_s=WS_RECEIVE_WAIT_S,
            visibility_ms=self._asked.visibility_ms,
            max_deliveries=self._asked.max_deliveries,
            deadline=self._deadline(WS_RECEIVE_WAIT_S),
        )

    async def _send(self, deliveries: tuple[Delivery, ...]) -> None:
        if self._socket.gone:
            self._services.groups.give_back(self.topic, self._group, deliveries)
            return
        self.permits.count -= len(deliveries)
        self.unacked.update(dict.fromkeys(each.token for each in deliveries))
        messages = messages_of(deliveries)
        await made_ready(self._services.pages, messages, deadline=None)
        lines = delivery_lines(deliveries, messages, self._services.pages)
        self._socket.send(*(_MESSAGE % (self._head, line) for line in lines))

    async def acknowledge(self, asked: Acknowledgement) -> bytes:
        """Do what *asked* says with its tokens; the answer.

        Raises:
            BridgeError: as `Groups.acknowledge`.
        """
        kind, delay_ms = AckKind.ACK, None
        match asked:
            case Nack():
                kind, delay_ms = AckKind.NACK, asked.delay_ms
            case Extend():
                kind, delay_ms = AckKind.EXTEND, asked.visibility_ms
            case _:
                pass
        with arguments_as_fields():
            results = await self._acknowledge(kind, asked.tokens, delay_ms)
        for each in results:
            if kind is not AckKind.EXTEND or each.outcome is not AckOutcome.DONE:
                self.unacked.pop(each.token, None)
        self._room.set()
        return acks_frame_json(asked.id, self._asked.id, token_results_json(results))

    async def _acknowledge(
        self, kind: AckKind, tokens: Sequence[str], delay_ms: int | None
    ) -> tuple[TokenResult, ...]:
        return await self._services.groups.acknowledge(
            self.topic, self._group, kind, tokens, delay_ms=delay_ms, deadline=self._deadline()
        )

    async def give_up(self) -> None:
        """The client is gone: what it has not acknowledged comes again at once, as far as that can still be said."""
        tokens = list(self.unacked)
        self.unacked.clear()
        # Where it cannot be said, it comes again when its leases end.
        with suppress(BridgeError):
            await self._acknowledge(AckKind.NACK, tokens, None)

    def _deadline(self, more_s: float = 0.0) -> Deadline:
        return Deadline.after(self._timeout_s + more_s, self._services.clock)
