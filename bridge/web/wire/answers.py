"""Answers other than pages (pure): values of the port as the JSON of api.md."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

import bridge
from bridge.background.canary import RoundTrip
from bridge.background.stats_refresh import StatsSnapshot
from bridge.clock import rfc3339
from bridge.limits import TICKET_LIFETIME_S, TOPIC_TEXTS_REMEMBERED_MAX
from bridge.messagelog import Durability, LogHealth, Receipt, StreamInfo, TopicInfo, TopicRef
from bridge.web.wire.offsets import current_offset
from bridge.web.wire.times import Time

StoredAt: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0)] | None, Meta(description="Null where the log confirmed without saying where")
]
_Count: TypeAlias = Annotated[int, Meta(ge=0)]
# Numbers of 32 bits, as in the original service, whose typed clients fail on text.
_Id: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


_ENCODER: Final = msgspec.json.Encoder()


class EventReceipt(msgspec.Struct, gc=False):
    """One event, stored."""

    success: bool
    stream: str
    topic: str
    timestamp: Annotated[Time, Meta(description="When the bridge took it")]
    partition_id: _Count
    durability: Annotated[Durability, Meta(description="What this acknowledgement means")]
    event_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    offset: StoredAt


class StreamAnswer(msgspec.Struct):
    """A stream."""

    id: _Id
    name: str
    created_at: Time
    topics_count: _Count
    size_bytes: _Count
    messages_count: _Count


class RetentionAnswer(msgspec.Struct):
    """What may be removed; null is "never"."""

    max_age_seconds: int | None
    max_bytes: int | None


class TopicRow(msgspec.Struct):
    """A topic as a list shows it."""

    id: _Id
    name: str
    stream_id: _Id
    created_at: Time
    partitions_count: _Count
    size_bytes: _Count
    messages_count: _Count
    durability: Annotated[Durability, Meta(description="What an acknowledgement of this topic means")]
    retention: RetentionAnswer


class PartitionAnswer(msgspec.Struct):
    """One partition of a topic."""

    id: _Count
    current_offset: Annotated[int, Meta(ge=0, description="Of the newest message; 0 where there is none")]
    size_bytes: _Count
    messages_count: _Count


class TopicAnswer(TopicRow):
    """A topic with its partitions."""

    partitions: list[PartitionAnswer]


class LogAnswer(msgspec.Struct, omit_defaults=True):
    """What is known of the log."""

    kind: Annotated[str, Meta(description="`local` or `iggy`")]
    state: Annotated[str, Meta(description="Such as `open`, `connected`, `reconnecting`")]
    durability: Annotated[Durability, Meta(description="What new topics of this bridge get")]
    server_version: str | None
    detail: Annotated[str, Meta(description="Why it is not well")] | UnsetType = UNSET
    warnings: Annotated[Sequence[str], Meta(description="For operators")] | UnsetType = UNSET


class HealthAnswer(msgspec.Struct):
    """That the process serves, and what is known of the log."""

    status: Literal["healthy", "degraded"]
    iggy_connected: Annotated[bool, Meta(description="Whether the log, of whichever kind, can be used")]
    version: str
    timestamp: Time
    log: LogAnswer


class CheckAnswer(msgspec.Struct, omit_defaults=True):
    """One thing that must be so."""

    ok: bool
    detail: Annotated[str, Meta(description="Why it is not; else empty")]
    state: Annotated[str, Meta(description="Of the log")] | UnsetType = UNSET
    warnings: Sequence[str] | UnsetType = UNSET
    seconds: Annotated[float, Meta(ge=0, description="Of the round trip")] | UnsetType = UNSET


class ReadyAnswer(msgspec.Struct):
    """Whether requests should be sent here, and each check that says so or not."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, CheckAnswer]
    timestamp: Time


class StatsAnswer(msgspec.Struct):
    """Figures of the whole log as last counted, zeros and stale before that; and of this process."""

    streams_count: _Count
    topics_count: _Count
    total_messages: _Count
    total_size_bytes: _Count
    uptime_seconds: _Count
    cache_age_seconds: _Count
    cache_stale: bool
    messages_sent: Annotated[int, Meta(ge=0, description="By this process, since it started")]
    messages_received: Annotated[int, Meta(ge=0, description="By this process, since it started")]


class TicketAnswer(msgspec.Struct):
    """A ticket: put it as `ticket` into the URL of a stream or a socket."""

    ticket: Annotated[str, Meta(description="Good once")]
    expires_in_seconds: Annotated[int, Meta(ge=0)]


def ticket_json(ticket: str) -> bytes:
    return msgspec.json.encode(TicketAnswer(ticket, int(TICKET_LIFETIME_S)))


def receipt_json(event_id: str, topic: TopicRef, receipt: Receipt, accepted_us: int) -> bytes:
    """The answer to one message: what is stored where, and what the acknowledgement means."""
    return _ENCODER.encode(
        EventReceipt(
            True,
            topic.stream,
            topic.topic,
            rfc3339(accepted_us),
            receipt.partition_id,
            receipt.durability,
            event_id,
            receipt.offset,
        )
    )


def batch_json(event_ids: Sequence[str], topic: TopicRef, receipt: Receipt, accepted_us: int) -> bytes:
    """The answer to a batch: the same object for each event, in order.

    Args:
        event_ids: as UUIDs are written, at least one; they are put between quotes as they are.
    """
    head, count, first = _receipt_head(topic, receipt, accepted_us), len(event_ids), receipt.offset
    # Columns laid side by side and joined once: 1,200 instructions an event; a text made of each takes 2,700.
    parts = [f"}},{head}", "", '","offset":', ""] * count
    parts[1::4] = event_ids
    if first is None:
        parts[3::4] = ["null"] * count
    else:
        parts[3::4] = orjson.dumps(list(range(first, first + count)))[1:-1].decode().split(",")
    parts[0] = f"[{head}"
    parts.append("}]")
    return "".join(parts).encode()


def _receipt_head(topic: TopicRef, receipt: Receipt, accepted_us: int) -> str:
    """What the answers to the events of one receipt have in common, up to the event's id."""
    # 0.9 us; a dictionary that is encoded takes 1.9.
    return (
        f'{{"success":true,{_place_json(topic)},"timestamp":"{rfc3339(accepted_us)}",'
        f'"partition_id":{receipt.partition_id},"durability":"{receipt.durability}","event_id":"'
    )


@lru_cache(TOPIC_TEXTS_REMEMBERED_MAX)
def _place_json(topic: TopicRef) -> str:
    """The members that name it, without braces."""
    return orjson.dumps({"stream": topic.stream, "topic": topic.topic})[1:-1].decode()


def stream_json(stream: StreamInfo) -> bytes:
    return msgspec.json.encode(_stream(stream))


def streams_json(streams: Sequence[StreamInfo]) -> bytes:
    return msgspec.json.encode([_stream(stream) for stream in streams])


def _stream(stream: StreamInfo) -> StreamAnswer:
    return StreamAnswer(
        id=stream.id,
        name=stream.name,
        created_at=rfc3339(stream.created_at_us),
        topics_count=stream.topics_count,
        size_bytes=stream.size_bytes,
        messages_count=stream.messages_count,
    )


def topic_json(topic: TopicInfo) -> bytes:
    partitions = [
        PartitionAnswer(each.id, current_offset(each.end_offset), each.size_bytes, each.messages_count)
        for each in topic.partitions
    ]
    return msgspec.json.encode(TopicAnswer(*_topic(topic), partitions))


def topics_json(topics: Sequence[TopicInfo]) -> bytes:
    """A list of topics, without their partitions: a thousand topics may have a thousand each."""
    return msgspec.json.encode([TopicRow(*_topic(topic)) for topic in topics])


def _topic(topic: TopicInfo) -> tuple[int, str, int, str, int, int, int, Durability, RetentionAnswer]:
    """The fields of `TopicRow`."""
    return (
        topic.id,
        topic.name,
        topic.stream_id,
        rfc3339(topic.created_at_us),
        topic.partitions_count,
        topic.size_bytes,
        topic.messages_count,
        topic.durability,
        RetentionAnswer(topic.retention.age_s, topic.retention.size_bytes),
    )


def health_json(health: LogHealth, now_us: int) -> bytes:
    """That the process serves, and what is known of the log."""
    return msgspec.json.encode(
        HealthAnswer(
            status="healthy" if health.ready else "degraded",
            iggy_connected=health.ready,
            version=bridge.__version__,
            timestamp=rfc3339(now_us),
            log=LogAnswer(
                kind=health.kind,
                state=health.state,
                durability=health.durability,
                server_version=health.server_version,
                detail=health.detail or UNSET,
                warnings=health.warnings or UNSET,
            ),
        )
    )


def ready_json(
    health: LogHealth,
    *,
    started: bool,
    topic_there: bool,
    draining: bool,
    now_us: int,
    round_trip: RoundTrip | None = None,
) -> tuple[bool, bytes]:
    """Whether requests should be sent here, and each check that says so or not."""
    checks = {
        "started": CheckAnswer(started, "" if started else "The bridge is starting."),
        "default_topic": CheckAnswer(
            topic_there, "" if topic_there else "The default topic is missing; it is being made."
        ),
        "not_draining": CheckAnswer(not draining, "The bridge is shutting down." if draining else ""),
        "log": CheckAnswer(health.ready, health.detail, health.state, health.warnings or UNSET),
    }
    if round_trip is not None:
        seconds = round(round_trip.seconds, 6)
        checks["round_trip"] = CheckAnswer(round_trip.ok, round_trip.detail, seconds=seconds)
    ready = all(check.ok for check in checks.values())
    answer = ReadyAnswer("ready" if ready else "not_ready", checks, rfc3339(now_us))
    return ready, msgspec.json.encode(answer)


def stats_json(stats: StatsSnapshot, *, uptime_s: float, sent: int, received: int) -> bytes:
    """Figures of the whole log as last counted, zeros and stale before that; and of this process."""
    totals = stats.totals
    return msgspec.json.encode(
        StatsAnswer(
            streams_count=totals.streams_count if totals else 0,
            topics_count=totals.topics_count if totals else 0,
            total_messages=totals.messages_count if totals else 0,
            total_size_bytes=totals.size_bytes if totals else 0,
            uptime_seconds=int(uptime_s),
            cache_age_seconds=int(stats.age_s),
            cache_stale=stats.stale,
            messages_sent=sent,
            messages_received=received,
        )
    )
