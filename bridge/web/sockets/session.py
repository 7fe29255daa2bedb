"""What one client of a WebSocket asks, and is told (shell): the subprotocol `bridge.v1`."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeAlias

import structlog

from bridge.clock import Deadline
from bridge.errors import BadRequest, BridgeError, ConnectionFailed, InternalError, NotFound, Outcome
from bridge.limits import (
    LIVE_RETRY_MS_MAX,
    LIVE_RETRY_MS_MIN,
    WS_CALLS_MAX,
    WS_MESSAGE_BYTES_MAX,
    WS_SUBSCRIPTIONS_MAX,
)
from bridge.messagelog import Receipt, TopicRef
from bridge.policy.access import Scope
from bridge.policy.client_address import limit_key
from bridge.web.handlers.access import current_principal, require_topic
from bridge.web.handlers.path_params import refuse_own
from bridge.web.keys import Exchange, Services
from bridge.web.live.streams import EndReason, LiveKind, reason_of
from bridge.web.sockets.answers import bye_json, ended_json, hello_json, pong_json, receipt_frame_json
from bridge.web.sockets.framing import CloseCode
from bridge.web.sockets.groups import GroupSubscription
from bridge.web.sockets.limits import SocketLimits
from bridge.web.sockets.operations import (
    Ack,
    Acknowledgement,
    Extend,
    Nack,
    OperationContext,
    Permit,
    Ping,
    Publish,
    SocketOperation,
    Subscribe,
    Unsubscribe,
    context_of,
    decode_operation,
    operation_id,
)
from bridge.web.sockets.outcomes import Outcomes
from bridge.web.sockets.publishing import (
    UNTRACED,
    Publication,
    Publisher,
    TracedPublication,
    publication_of,
    topic_of,
    traced_publication,
)
from bridge.web.sockets.socket import Socket
from bridge.web.sockets.subscriptions import TopicSubscription
from bridge.web.wire.answers import receipt_json
from bridge.web.wire.bulk import raw_receipt_json

Subscription: TypeAlias = TopicSubscription | GroupSubscription

_log = structlog.get_logger("bridge.web")


class _Running(NamedTuple):
    subscription: Subscription
    context: OperationContext
    task: asyncio.Task[None]


class Session:
    """One socket from its first message to its last.

    Args:
        exchange: of the request that became the socket. Every problem names its id, its client's and key's limits hold, and what
            is left of its time each operation has.
    """

    def __init__(self, socket: Socket, exchange: Exchange) -> None:
        self._services = services = exchange.services
        self._socket = socket
        self._exchange = exchange
        self._outcomes = Outcomes(socket, exchange)
        self._limit_key = limit_key(exchange.client)
        self._limits = SocketLimits(exchange, self._limit_key)
        self._timeout_s = exchange.deadline.remaining_s()
        self._publisher = Publisher(services.log, services.appender, services.publications, self._answer)
        self._subscriptions: dict[str, _Running] = {}
        self._calls: set[asyncio.Task[None]] = set()
        # What may have made room for the next message.
        self._stirred = asyncio.Event()
        socket.on_room = self._stirred.set
        self._leaving = self._parted = False
        self._end_reason = EndReason.SHUTDOWN

    def leave(self) -> None:
        """The process drains: say good-bye and end soon."""
        self._leaving = True
        self._stirred.set()
        self._socket.interrupt()

    def dismiss(self) -> None:
        """Its client is let in no more: say so and end soon."""
        self._end_reason = EndReason.UNAUTHORIZED
        self.leave()

    async def run(self) -> None:
        """Until the client leaves, breaks the rules, or `leave`; then everything accepted is answered, and the socket closed."""
        socket = self._socket
        socket.send(
            hello_json(self._exchange.request_id, message_bytes_max=message_bytes_max(self._services))
        )
        try:
            while (message := await socket.receive()) is not None:
                await self._take(message)
                if self._outcomes.rest_s:
                    await asyncio.sleep(self._outcomes.rest_s)
                    self._outcomes.rest_s = 0.0
                await self._room()
            self._part()
            await self._publisher.finish()
            while self._calls:
                await asyncio.wait(self._calls)
        except asyncio.CancelledError:
            self._publisher.abandon(ConnectionFailed("The bridge is shutting down.", outcome=Outcome.UNKNOWN))
            self._leaving = True
            raise
        except Exception:
            socket.close(CloseCode.INTERNAL, "internal error")
            raise
        finally:
            self._part()
            for task in self._calls:
                task.cancel()
            self._publisher.forget_listener()
            code, why = self._close_word()
            socket.close(code, why)

    def _close_word(self) -> tuple[CloseCode, str]:
        if not self._leaving:
            return CloseCode.NORMAL, ""
        if self._end_reason is EndReason.UNAUTHORIZED:
            return CloseCode.POLICY, "no longer authorized"
        return CloseCode.GOING_AWAY, ""

    def _part(self) -> None:
        """End every subscription: with a word on where to go on if it is ours to end, else giving back what was not acknowledged."""
        ended = [self._stop(name) for name in tuple(self._subscriptions)]
        if self._leaving and not self._parted:
            retry_ms = random.randint(LIVE_RETRY_MS_MIN, LIVE_RETRY_MS_MAX)  # noqa: S311 (to spread, not to hide)
            left = [subscription.left for subscription in ended]
            self._socket.send(bye_json(left, reason=self._end_reason, retry_ms=retry_ms))
        if not self._leaving or self._end_reason is EndReason.UNAUTHORIZED:
            for subscription in ended:
                self._give_up(subscription)
        self._parted = True

    async def _room(self) -> None:
        """A client that reads no answers, or has enough to wait for, is not heard either."""
        while not self._leaving and (
            self._socket.full or self._publisher.full or len(self._calls) >= WS_CALLS_MAX
        ):
            self._stirred.clear()
            await self._stirred.wait()

    # --- operations -------------------------------------------------------------------------------------------

    async def _take(self, message: bytes) -> None:
        operation: SocketOperation | None = None
        traced = UNTRACED
        try:
            operation = decode_operation(message)
            if isinstance(operation, Publish):
                traced = traced_publication(operation, self._services.tracing)
            if (later := self._limits.take(operation, len(message))) is not None:
                await later
            self._do(operation, traced)
        except BridgeError as error:
            traced.end(error)
            if operation is None:
                self._outcomes.refused(error, OperationContext(id=operation_id(message)))
            else:
                self._outcomes.refused(error, self._context_of(operation)._replace(trace=traced.trace))
        self._note_use()

    def _context_of(self, operation: SocketOperation) -> OperationContext:
        named = self._subscriptions.get(getattr(operation, "subscription", ""))
        return context_of(operation, named and named.context, self._services.default_topic)

    def _do(self, operation: SocketOperation, traced: TracedPublication) -> None:
        match operation:
            case Publish():
                self._publish(operation, traced)
            case Permit():
                subscription = self._named(operation.subscription)
                require_topic(current_principal(self._exchange), Scope.CONSUME, subscription.topic)
                subscription.permits.add(operation.count)
            case Subscribe():
                self._subscribe(operation)
            case Unsubscribe():
                self._named(operation.subscription)
                subscription = self._stop(operation.subscription)
                self._give_up(subscription)
                self._socket.send(
                    ended_json(subscription.left, reason=EndReason.UNSUBSCRIBED, operation_id=operation.id)
                )
            case Ping():
                self._socket.send(pong_json(operation.id))
            case Ack() | Nack() | Extend():
                self._acknowledge(operation)

    def _publish(self, asked: Publish, traced: TracedPublication) -> None:
        now_us, topic = self._services.clock.now_us(), self._topic_of(asked, Scope.PRODUCE)
        publication = publication_of(
            asked, topic, accepted_us=now_us, deadline=self._deadline(), traced=traced
        )
        self._publisher.publish(publication)

    def _subscribe(self, asked: Subscribe) -> None:
        if asked.id in self._subscriptions:
            raise BadRequest("There is a subscription of this id.", path="$.id")
        if len(self._subscriptions) >= WS_SUBSCRIPTIONS_MAX:
            raise BadRequest(
                f"A socket has at most {WS_SUBSCRIPTIONS_MAX} subscriptions.",
                path="$.op",
                limit=WS_SUBSCRIPTIONS_MAX,
            )
        topic = self._topic_of(asked, Scope.CONSUME)
        subscription: Subscription
        if asked.group is None:
            subscription = TopicSubscription(self._services, self._socket, asked, topic, self._deadline())
        else:
            subscription = GroupSubscription(
                self._services, self._socket, asked, topic, asked.group, timeout_s=self._timeout_s
            )
        context = self._context_of(asked)
        task = asyncio.create_task(self._follow(context, subscription), name="subscription")
        self._subscriptions[asked.id] = _Running(subscription, context, task)

    def _topic_of(self, asked: Publish | Subscribe, scope: Scope) -> TopicRef:
        topic = topic_of(asked, self._services.default_topic)
        refuse_own(self._services, topic.stream, path="$.stream")
        require_topic(current_principal(self._exchange), scope, topic)
        return topic

    def _acknowledge(self, asked: Acknowledgement) -> None:
        subscription = self._named(asked.subscription)
        if not isinstance(subscription, GroupSubscription):
            raise BadRequest(
                "This is no subscription to a group: nothing is to be settled.", path="$.subscription"
            )
        # Whoever has a token may not settle for that alone.
        require_topic(current_principal(self._exchange), Scope.CONSUME, subscription.topic)
        self._call(self._acknowledged(asked, subscription))

    async def _acknowledged(self, asked: Acknowledgement, subscription: GroupSubscription) -> None:
        context = self._context_of(asked)
        try:
            self._socket.send(await subscription.acknowledge(asked))
            self._outcomes.done(context)
        except BridgeError as error:
            self._outcomes.refused(error, context)
        except Exception:  # noqa: BLE001 (the client must hear of it, and the socket goes on)
            _log.exception("settlement_failed")
            self._outcomes.failed(InternalError(outcome=Outcome.UNKNOWN), context)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="socket call")
        self._calls.add(task)
        task.add_done_callback(self._call_ended)

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._stirred.set()
        self._note_use()

    async def _follow(self, context: OperationContext, subscription: Subscription) -> None:
        try:
            with self._services.live_streams.joined(_nothing, LiveKind.SUBSCRIPTION, client=self._limit_key):
                await subscription.run()
        except BridgeError as error:
            self._failed(context, subscription, error)
        except Exception:  # noqa: BLE001 (the client must hear of it, and the other subscriptions go on)
            _log.exception("subscription_failed")
            self._failed(context, subscription, InternalError())
        finally:
            if subscription.begun:
                self._outcomes.done(context)

    def _failed(self, context: OperationContext, subscription: Subscription, error: BridgeError) -> None:
        """It could not begin, or can give no more."""
        self._subscriptions.pop(context.id or "", None)
        self._note_use()
        if not subscription.begun:
            self._outcomes.refused(error, context)
            return
        problem = self._outcomes.problem_of(error, context)
        self._socket.send(ended_json(subscription.left, reason=reason_of(error), problem=problem))

    def _named(self, name: str) -> Subscription:
        running = self._subscriptions.get(name)
        if running is None:
            raise NotFound("There is no subscription of this id, or no more.", path="$.subscription")
        return running.subscription

    def _stop(self, name: str) -> Subscription:
        """Nothing is sent for this subscription from here on."""
        running = self._subscriptions.pop(name)
        running.task.cancel()
        return running.subscription

    def _give_up(self, subscription: Subscription) -> None:
        if isinstance(subscription, GroupSubscription) and subscription.unacked:
            self._call(subscription.give_up())

    # --- answers ----------------------------------------------------------------------------------------------

    def _answer(self, publication: Publication, answer: Receipt | BridgeError) -> None:
        self._stirred.set()
        if isinstance(answer, BridgeError):
            self._outcomes.failed(answer, publication.context)
        else:
            self._outcomes.done(publication.context)
            tell = receipt_json if publication.is_event else raw_receipt_json
            receipt = tell(publication.message_id, publication.topic, answer, publication.accepted_us)
            self._socket.send(receipt_frame_json(publication.operation_id, receipt))
        self._note_use()

    def _deadline(self) -> Deadline:
        return Deadline.after(self._timeout_s, self._services.clock)

    def _note_use(self) -> None:
        self._socket.in_use = bool(self._subscriptions or self._calls or len(self._publisher))


def message_bytes_max(services: Services) -> int:
    """The longest message a client may send."""
    return min(WS_MESSAGE_BYTES_MAX, services.http.request_body_bytes_max)


def _nothing() -> None:
    """A subscription is told of the end by its session."""
