"""What one client of a WebSocket asks, and is told (shell): the subprotocol `bridge.v1`."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeAlias

import structlog

from bridge.clock import Deadline
from bridge.errors import (
    BadRequest,
    BridgeError,
    ConnectionFailed,
    InternalError,
    NotFound,
    Outcome,
    RateLimited,
    RequestError,
)
from bridge.limits import (
    LIVE_RETRY_MS_MAX,
    LIVE_RETRY_MS_MIN,
    WS_CALLS_MAX,
    WS_FAULTS_BURST,
    WS_MESSAGE_BYTES_MAX,
    WS_SUBSCRIPTIONS_MAX,
)
from bridge.messagelog import Receipt, TopicRef
from bridge.policy.access import Principal, Scope
from bridge.policy.client_address import limit_key
from bridge.policy.rate_limits import take
from bridge.web.handlers.access import require_topic
from bridge.web.handlers.path_params import refuse_own
from bridge.web.keys import Services
from bridge.web.live.streams import EndReason, LiveKind, reason_of
from bridge.web.rules import Rules
from bridge.web.sockets.answers import (
    INSTANCE,
    bye_json,
    ended_json,
    error_json,
    hello_json,
    pong_json,
    receipt_frame_json,
)
from bridge.web.sockets.framing import CloseCode
from bridge.web.sockets.groups import GroupSubscription
from bridge.web.sockets.limits import SocketLimits
from bridge.web.sockets.operations import (
    Ack,
    Acknowledgement,
    Extend,
    Nack,
    Permit,
    Ping,
    Publish,
    SocketOperation,
    Subscribe,
    Unsubscribe,
    decode_operation,
    operation_id,
)
from bridge.web.sockets.publishing import (
    Publication,
    Publisher,
    publication_of,
    topic_of,
    traced_publication,
)
from bridge.web.sockets.socket import Socket
from bridge.web.sockets.subscriptions import TopicSubscription
from bridge.web.wire.answers import receipt_json
from bridge.web.wire.bulk import raw_receipt_json
from bridge.web.wire.problems import problem_object, row_of

Subscription: TypeAlias = TopicSubscription | GroupSubscription

_log = structlog.get_logger("bridge.web")
_SERVER_ERROR: Final = 500
_FAULTS_PER_S: Final = 1
# After a refusal by the rate limit the next message is looked at when it may pass, but no later than this.
_REST_S_MAX: Final = 1.0


class _Running(NamedTuple):
    subscription: Subscription
    task: asyncio.Task[None]


class Session:
    """
    One socket from its first message to its last.

    Args:
        request_id: of the request that became the socket; every problem names it.
        client: whose requests are counted.
        principal: gives who is behind it now, and what they may; asked at each operation.
        key_id: of the key that it was opened with, whose own limits hold too; None for none.
        timeout_s: for each operation, as for a request.
    """

    def __init__(
        self,
        services: Services,
        rules: Rules,
        socket: Socket,
        *,
        request_id: str,
        client: str,
        principal: Callable[[], Principal],
        key_id: str | None,
        timeout_s: float,
    ) -> None:
        self._services = services
        self._socket = socket
        self._request_id = request_id
        self._limit_key = limit_key(client)
        self._principal = principal
        self._limits = SocketLimits(services, rules, self._limit_key, key_id)
        self._timeout_s = timeout_s
        self._default_topic = TopicRef(services.log_config.stream, services.log_config.topic)
        self._publisher = Publisher(services.log, services.appender, services.publications, self._answer)
        self._subscriptions: dict[str, _Running] = {}
        self._calls: set[asyncio.Task[None]] = set()
        # What may have made room for the next message.
        self._stirred = asyncio.Event()
        socket.on_room = self._stirred.set
        self._faults_full_at_s = services.clock.monotonic_s()
        self._rest_s = 0.0
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
        socket.send(hello_json(self._request_id, message_bytes_max=message_bytes_max(self._services)))
        try:
            while (message := await socket.receive()) is not None:
                await self._take(message)
                if self._rest_s:
                    await asyncio.sleep(self._rest_s)
                    self._rest_s = 0.0
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
        named: str | None = None
        try:
            operation = decode_operation(message)
            named = operation.id
            if (later := self._limits.take(operation, len(message))) is not None:
                await later
            self._do(operation)
        except BridgeError as error:
            self._refuse(error, named or operation_id(message))
        self._note_use()

    def _do(self, operation: SocketOperation) -> None:
        match operation:
            case Publish():
                self._publish(operation)
            case Permit():
                subscription = self._named(operation.subscription)
                require_topic(self._principal(), Scope.CONSUME, subscription.topic)
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

    def _publish(self, asked: Publish) -> None:
        traced = traced_publication(asked, self._services.tracing)
        try:
            now_us, topic = self._services.clock.now_us(), self._topic_of(asked, Scope.PRODUCE)
            publication = publication_of(
                asked, topic, accepted_us=now_us, deadline=self._deadline(), traced=traced
            )
        except BridgeError as error:
            traced.end(error)
            raise
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
        task = asyncio.create_task(self._follow(asked.id, subscription), name="subscription")
        self._subscriptions[asked.id] = _Running(subscription, task)

    def _topic_of(self, asked: Publish | Subscribe, scope: Scope) -> TopicRef:
        topic = topic_of(asked, self._default_topic)
        refuse_own(self._services, topic.stream, path="$.stream")
        require_topic(self._principal(), scope, topic)
        return topic

    def _acknowledge(self, asked: Acknowledgement) -> None:
        subscription = self._named(asked.subscription)
        if not isinstance(subscription, GroupSubscription):
            raise BadRequest(
                "This is no subscription to a group: nothing is to be settled.", path="$.subscription"
            )
        # Whoever has a token may not settle for that alone.
        require_topic(self._principal(), Scope.CONSUME, subscription.topic)
        self._call(self._acknowledged(asked, subscription))

    async def _acknowledged(self, asked: Acknowledgement, subscription: GroupSubscription) -> None:
        try:
            self._socket.send(await subscription.acknowledge(asked))
        except BridgeError as error:
            self._refuse(error, asked.id)
        except Exception:  # noqa: BLE001 (the client must hear of it, and the socket goes on)
            _log.exception("settlement_failed")
            self._tell(InternalError(outcome=Outcome.UNKNOWN), asked.id)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="socket call")
        self._calls.add(task)
        task.add_done_callback(self._call_ended)

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._stirred.set()
        self._note_use()

    async def _follow(self, name: str, subscription: Subscription) -> None:
        try:
            with self._services.live_streams.joined(_nothing, LiveKind.SUBSCRIPTION, client=self._limit_key):
                await subscription.run()
        except BridgeError as error:
            self._failed(name, subscription, error)
        except Exception:  # noqa: BLE001 (the client must hear of it, and the other subscriptions go on)
            _log.exception("subscription_failed")
            self._failed(name, subscription, InternalError())

    def _failed(self, name: str, subscription: Subscription, error: BridgeError) -> None:
        """It could not begin, or can give no more."""
        self._subscriptions.pop(name, None)
        self._note_use()
        if not subscription.begun:
            self._refuse(error, name)
            return
        problem = problem_object(error, request_id=self._request_id, instance=INSTANCE)
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
            self._tell(answer, publication.operation_id)
        else:
            tell = receipt_json if publication.is_event else raw_receipt_json
            receipt = tell(publication.message_id, publication.topic, answer, publication.accepted_us)
            self._socket.send(receipt_frame_json(publication.operation_id, receipt))
            if publication.is_event:
                self._services.pages.forms.note_events(
                    publication.messages, size_bytes=len(publication.messages.payloads[0])
                )
        self._note_use()

    def _refuse(self, error: BridgeError, named: str | None) -> None:
        """Tell a fault of the client's, and close when there are too many."""
        self._tell(error, named)
        if isinstance(error, RateLimited):
            self._rest_s = min(error.retry_after_ms / 1000, _REST_S_MAX)
        elif isinstance(error, RequestError):
            self._faults_full_at_s, verdict = take(
                self._faults_full_at_s,
                self._services.clock.monotonic_s(),
                interval_s=1 / _FAULTS_PER_S,
                burst=WS_FAULTS_BURST,
            )
            if not verdict.allowed:
                self._socket.close(CloseCode.POLICY, "too many faults")

    def _tell(self, error: BridgeError, named: str | None) -> None:
        if row_of(type(error)).status == _SERVER_ERROR:
            _log.error("operation_failed", code=error.code, exc_info=error)
        self._socket.send(error_json(error, request_id=self._request_id, operation_id=named))

    def _deadline(self) -> Deadline:
        return Deadline.after(self._timeout_s, self._services.clock)

    def _note_use(self) -> None:
        self._socket.in_use = bool(self._subscriptions or self._calls or len(self._publisher))


def message_bytes_max(services: Services) -> int:
    """The longest message a client may send."""
    return min(WS_MESSAGE_BYTES_MAX, services.http.request_body_bytes_max)


def _nothing() -> None:
    """A subscription is told of the end by its session."""
