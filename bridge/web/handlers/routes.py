"""Every route there is, as one table, and what each asks of its caller (wiring)."""

from typing import Final

from bridge.policy.access import Scope
from bridge.web.handlers import (
    groups,
    health,
    live,
    offsets,
    reading,
    reference,
    sending,
    sockets,
    tickets,
    topics,
)
from bridge.web.handlers.access import ANYONE, Access, Resource, Route
from bridge.web.openapi import groups as of_groups
from bridge.web.openapi import messages as of_messages
from bridge.web.openapi import service
from bridge.web.openapi import topics as of_topics

_STREAM: Final = "/streams/{stream}"
_TOPIC: Final = "/streams/{stream}/topics/{topic}"
_GROUPS: Final = f"{_TOPIC}/groups"
_GROUP: Final = f"{_GROUPS}/{{group}}"
_OFFSETS: Final = f"{_TOPIC}/consumers/{{consumer}}/offsets"

_FIGURES: Final = Access(Scope.METRICS, Resource.BRIDGE)
_READ: Final = Access(Scope.CONSUME, Resource.TOPIC, negotiated=True)
_WRITE: Final = Access(Scope.PRODUCE, Resource.TOPIC)
#: Offsets and groups: members settle, seek and look at each other.
_CONSUME: Final = Access(Scope.CONSUME, Resource.TOPIC)
_SEE_STREAM: Final = Access(None, Resource.STREAM)
_SEE_TOPIC: Final = Access(None, Resource.TOPIC)
_KEEP_STREAM: Final = Access(Scope.ADMIN, Resource.STREAM)
_KEEP_TOPIC: Final = Access(Scope.ADMIN, Resource.TOPIC)

ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", health.health, service.HEALTH, ANYONE),
    Route("GET", "/ready", health.ready, service.READY, ANYONE),
    Route("GET", "/stats", health.stats, service.STATS, _FIGURES),
    Route("GET", "/metrics", health.metrics, service.METRICS, _FIGURES),
    Route("GET", "/messages", reading.poll, of_messages.POLL, _READ),
    Route("POST", "/messages", sending.send, of_messages.SEND, _WRITE),
    Route("GET", "/messages/stream", live.stream, of_messages.STREAM, _READ),
    Route("POST", "/messages/batch", sending.send_batch, of_messages.SEND_BATCH, _WRITE),
    Route("GET", f"{_TOPIC}/messages", reading.poll, of_messages.POLL_TOPIC, _READ),
    Route("POST", f"{_TOPIC}/messages", sending.send, of_messages.SEND_TO_TOPIC, _WRITE),
    Route("GET", f"{_TOPIC}/messages/stream", live.stream, of_messages.STREAM_TOPIC, _READ),
    Route("POST", f"{_TOPIC}/messages/batch", sending.send_batch, of_messages.SEND_BATCH_TO_TOPIC, _WRITE),
    Route("GET", "/openapi.json", reference.openapi, service.DOCUMENT, ANYONE),
    Route("GET", "/docs", reference.docs, service.REFERENCE, ANYONE),
    Route("POST", "/tickets", tickets.issue, service.TICKET, ANYONE),
    Route("GET", "/ws", sockets.socket, service.SOCKET, Access(None, Resource.SOCKET)),
    Route("GET", "/streams", topics.list_streams, of_topics.LIST_STREAMS, Access(None, Resource.LISTED)),
    Route(
        "POST",
        "/streams",
        topics.create_stream,
        of_topics.CREATE_STREAM,
        Access(Scope.ADMIN, Resource.NEW_STREAM),
    ),
    Route("GET", _STREAM, topics.get_stream, of_topics.GET_STREAM, _SEE_STREAM),
    Route("DELETE", _STREAM, topics.delete_stream, of_topics.DELETE_STREAM, _KEEP_STREAM),
    Route("GET", f"{_STREAM}/topics", topics.list_topics, of_topics.LIST_TOPICS, _SEE_STREAM),
    Route(
        "POST",
        f"{_STREAM}/topics",
        topics.create_topic,
        of_topics.CREATE_TOPIC,
        Access(Scope.ADMIN, Resource.NEW_TOPIC),
    ),
    Route("GET", _TOPIC, topics.get_topic, of_topics.GET_TOPIC, _SEE_TOPIC),
    Route("PATCH", _TOPIC, topics.update_topic, of_topics.UPDATE_TOPIC, _KEEP_TOPIC),
    Route("DELETE", _TOPIC, topics.delete_topic, of_topics.DELETE_TOPIC, _KEEP_TOPIC),
    Route("POST", f"{_TOPIC}/purge", topics.purge_topic, of_topics.PURGE_TOPIC, _KEEP_TOPIC),
    Route("POST", f"{_TOPIC}/partitions", topics.add_partitions, of_topics.ADD_PARTITIONS, _KEEP_TOPIC),
    Route("GET", _OFFSETS, offsets.list_offsets, of_topics.LIST_OFFSETS, _CONSUME),
    Route("PUT", _OFFSETS, offsets.put_offsets, of_topics.PUT_OFFSETS, _CONSUME),
    Route("DELETE", _OFFSETS, offsets.delete_offsets, of_topics.DELETE_OFFSETS, _CONSUME),
    Route("GET", f"{_OFFSETS}/{{partition}}", offsets.get_offset, of_topics.GET_OFFSET, _CONSUME),
    Route("PUT", f"{_OFFSETS}/{{partition}}", offsets.put_offset, of_topics.PUT_OFFSET, _CONSUME),
    Route("DELETE", f"{_OFFSETS}/{{partition}}", offsets.delete_offset, of_topics.DELETE_OFFSET, _CONSUME),
    Route("GET", _GROUPS, groups.list_groups, of_groups.LIST_GROUPS, _CONSUME),
    Route("GET", _GROUP, groups.get_group, of_groups.GET_GROUP, _CONSUME),
    Route("DELETE", _GROUP, groups.delete_group, of_groups.DELETE_GROUP, _KEEP_TOPIC),
    Route("PUT", f"{_GROUP}/offsets", groups.seek, of_groups.SEEK, _CONSUME),
    Route("POST", f"{_GROUP}/receive", groups.receive, of_groups.RECEIVE, _CONSUME),
    Route("POST", f"{_GROUP}/ack", groups.ack, of_groups.ACK, _CONSUME),
    Route("POST", f"{_GROUP}/nack", groups.nack, of_groups.NACK, _CONSUME),
    Route("POST", f"{_GROUP}/extend", groups.extend, of_groups.EXTEND, _CONSUME),
)
