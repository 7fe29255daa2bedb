"""Every route there is, as one table (wiring)."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from aiohttp import web

from bridge.web.handlers import (
    groups,
    health,
    live,
    offsets,
    reading,
    reference,
    sending,
    sockets,
    topics,
)
from bridge.web.openapi import groups as of_groups
from bridge.web.openapi import messages as of_messages
from bridge.web.openapi import service
from bridge.web.openapi import topics as of_topics
from bridge.web.openapi.operation import Operation

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One method of one path template, and what the OpenAPI document says of it."""

    method: str
    path: str
    handler: Handler
    operation: Operation


_STREAM: Final = "/streams/{stream}"
_TOPIC: Final = "/streams/{stream}/topics/{topic}"
_GROUPS: Final = f"{_TOPIC}/groups"
_GROUP: Final = f"{_GROUPS}/{{group}}"
_OFFSETS: Final = f"{_TOPIC}/consumers/{{consumer}}/offsets"

#: The methods of one path follow each other, else the router makes two resources of it and asks one after the other; and
#: of what begins alike the busiest comes first.
ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", health.health, service.HEALTH),
    Route("GET", "/ready", health.ready, service.READY),
    Route("GET", "/stats", health.stats, service.STATS),
    Route("GET", "/metrics", health.metrics, service.METRICS),
    Route("GET", "/messages", reading.poll, of_messages.POLL),
    Route("POST", "/messages", sending.send, of_messages.SEND),
    Route("GET", "/messages/stream", live.stream, of_messages.STREAM),
    Route("POST", "/messages/batch", sending.send_batch, of_messages.SEND_BATCH),
    Route("GET", f"{_TOPIC}/messages", reading.poll, of_messages.POLL_TOPIC),
    Route("POST", f"{_TOPIC}/messages", sending.send, of_messages.SEND_TO_TOPIC),
    Route("GET", f"{_TOPIC}/messages/stream", live.stream, of_messages.STREAM_TOPIC),
    Route("POST", f"{_TOPIC}/messages/batch", sending.send_batch, of_messages.SEND_BATCH_TO_TOPIC),
    Route("GET", "/openapi.json", reference.openapi, service.DOCUMENT),
    Route("GET", "/docs", reference.docs, service.REFERENCE),
    Route("GET", "/ws", sockets.socket, service.SOCKET),
    Route("GET", "/streams", topics.list_streams, of_topics.LIST_STREAMS),
    Route("POST", "/streams", topics.create_stream, of_topics.CREATE_STREAM),
    Route("GET", _STREAM, topics.get_stream, of_topics.GET_STREAM),
    Route("DELETE", _STREAM, topics.delete_stream, of_topics.DELETE_STREAM),
    Route("GET", f"{_STREAM}/topics", topics.list_topics, of_topics.LIST_TOPICS),
    Route("POST", f"{_STREAM}/topics", topics.create_topic, of_topics.CREATE_TOPIC),
    Route("GET", _TOPIC, topics.get_topic, of_topics.GET_TOPIC),
    Route("PATCH", _TOPIC, topics.update_topic, of_topics.UPDATE_TOPIC),
    Route("DELETE", _TOPIC, topics.delete_topic, of_topics.DELETE_TOPIC),
    Route("POST", f"{_TOPIC}/purge", topics.purge_topic, of_topics.PURGE_TOPIC),
    Route("POST", f"{_TOPIC}/partitions", topics.add_partitions, of_topics.ADD_PARTITIONS),
    Route("GET", _OFFSETS, offsets.list_offsets, of_topics.LIST_OFFSETS),
    Route("PUT", _OFFSETS, offsets.put_offsets, of_topics.PUT_OFFSETS),
    Route("DELETE", _OFFSETS, offsets.delete_offsets, of_topics.DELETE_OFFSETS),
    Route("GET", f"{_OFFSETS}/{{partition}}", offsets.get_offset, of_topics.GET_OFFSET),
    Route("PUT", f"{_OFFSETS}/{{partition}}", offsets.put_offset, of_topics.PUT_OFFSET),
    Route("DELETE", f"{_OFFSETS}/{{partition}}", offsets.delete_offset, of_topics.DELETE_OFFSET),
    Route("GET", _GROUPS, groups.list_groups, of_groups.LIST_GROUPS),
    Route("GET", _GROUP, groups.get_group, of_groups.GET_GROUP),
    Route("DELETE", _GROUP, groups.delete_group, of_groups.DELETE_GROUP),
    Route("PUT", f"{_GROUP}/offsets", groups.seek, of_groups.SEEK),
    Route("POST", f"{_GROUP}/receive", groups.receive, of_groups.RECEIVE),
    Route("POST", f"{_GROUP}/ack", groups.ack, of_groups.ACK),
    Route("POST", f"{_GROUP}/nack", groups.nack, of_groups.NACK),
    Route("POST", f"{_GROUP}/extend", groups.extend, of_groups.EXTEND),
)
