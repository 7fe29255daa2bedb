"""What a client of a WebSocket is told (pure): each a text message of the subprotocol, as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from bridge.flow.following.batches import Gap
from bridge.limits import WS_PERMITS_MAX, WS_PING_INTERVAL_S, WS_SUBSCRIPTIONS_MAX
from bridge.messagelog import TopicRef
from bridge.web.live.streams import EndReason

#: What both sides agree on before anything else; a change that breaks a client gets another number.
SUBPROTOCOL: Final = "bridge.v1"
#: The route, which problems name.
INSTANCE: Final = "/ws"


class ResumePoint(NamedTuple):
    """A subscription that ends, and where another one would go on; None for a group, which knows that itself."""

    subscription: str
    cursor: str | None


def hello_json(request_id: str, *, message_bytes_max: int) -> bytes:
    """The first message: under which id this socket is in the log, and its bounds."""
    return _json(
        "hello",
        protocol=SUBPROTOCOL,
        request_id=request_id,
        limits={
            "message_bytes": message_bytes_max,
            "subscriptions": WS_SUBSCRIPTIONS_MAX,
            "permits": WS_PERMITS_MAX,
            "ping_interval_ms": round(WS_PING_INTERVAL_S * 1000),
        },
    )


def subscribed_json(
    subscription: str, topic: TopicRef, *, cursor: str | None, group: str | None, permits: int
) -> bytes:
    """A subscription has begun, at *cursor*."""
    place = {"group": group} if group is not None else {"cursor": cursor}
    return _json(
        "subscribed",
        subscription=subscription,
        stream=topic.stream,
        topic=topic.topic,
        **place,
        permits=permits,
    )


def message_head(subscription: str) -> bytes:
    """What the messages of a subscription begin with; the rest is `subscriptions.MessageForm`'s."""
    return b'{"op":"message","subscription":"%b"' % subscription.encode()


def progress_json(subscription: str, cursor: str) -> bytes:
    """Messages that the filter let none of pass lie before *cursor*."""
    return _json("progress", subscription=subscription, cursor=cursor)


def gap_json(subscription: str, cursor: str, gap: Gap) -> bytes:
    """Messages are no longer there, as `event: gap` says it of event streams."""
    return _json("gap", subscription=subscription, cursor=cursor, **gap._asdict())


def ended_json(
    left: ResumePoint,
    *,
    reason: EndReason,
    operation_id: str | None = None,
    problem: Mapping[str, object] | None = None,
) -> bytes:
    """A subscription has ended; nothing comes of it after this."""
    more: dict[str, Any] = {} if problem is None else {"problem": problem}
    return _json(
        "ended", id=operation_id, subscription=left.subscription, reason=reason, cursor=left.cursor, **more
    )


def receipt_frame_json(operation_id: str, receipt: bytes) -> bytes:
    """A message is stored; *receipt* is the object with which HTTP says so."""
    return b'{"op":"receipt","id":"%b","receipt":%b}' % (operation_id.encode(), receipt)


def acks_frame_json(operation_id: str | None, subscription: str, results: bytes) -> bytes:
    """What became of the tokens; *results* is the object with which HTTP says so."""
    return _json("settled", id=operation_id, subscription=subscription)[:-1] + b"," + results[1:]


def error_json(problem: Mapping[str, object], *, operation_id: str | None) -> bytes:
    """An operation was not done; *problem* is that which HTTP would answer."""
    return _json("error", id=operation_id, problem=problem)


def pong_json(operation_id: str | None) -> bytes:
    """The answer to `ping`."""
    return _json("pong", id=operation_id)


def bye_json(left: Iterable[ResumePoint], *, reason: EndReason, retry_ms: int) -> bytes:
    """The bridge ends this socket; whoever comes again does so after *retry_ms*, with these cursors."""
    subscriptions: Sequence[Mapping[str, object]] = [each._asdict() for each in left]
    return _json("bye", reason=reason, retry_ms=retry_ms, subscriptions=subscriptions)


def _json(op: str, **members: Any) -> bytes:
    return orjson.dumps({"op": op, **members})
