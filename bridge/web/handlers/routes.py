"""Every route there is, as one table (wiring)."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from aiohttp import web

from bridge.web.handlers import groups, health, live, offsets, reading, sending, sockets, streams, topics

__all__ = ("ROUTES", "Handler", "Route")

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One method of one path template."""

    method: str
    path: str
    handler: Handler


_STREAM: Final = "/streams/{stream}"
_TOPIC: Final = "/streams/{stream}/topics/{topic}"
_GROUPS: Final = f"{_TOPIC}/groups"
_GROUP: Final = f"{_GROUPS}/{{group}}"
_OFFSETS: Final = f"{_TOPIC}/consumers/{{consumer}}/offsets"

#: The methods of one path follow each other, else the router makes two resources of it and asks one after the other; and
#: of what begins alike the busiest comes first.
ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", health.health),
    Route("GET", "/ready", health.ready),
    Route("GET", "/stats", health.stats),
    Route("GET", "/metrics", health.metrics),
    Route("GET", "/messages", reading.poll),
    Route("POST", "/messages", sending.send),
    Route("GET", "/messages/stream", live.stream),
    Route("POST", "/messages/batch", sending.send_batch),
    Route("GET", f"{_TOPIC}/messages", reading.poll),
    Route("POST", f"{_TOPIC}/messages", sending.send),
    Route("GET", f"{_TOPIC}/messages/stream", live.stream),
    Route("POST", f"{_TOPIC}/messages/batch", sending.send_batch),
    Route("GET", "/ws", sockets.socket),
    Route("GET", "/streams", streams.list_streams),
    Route("POST", "/streams", streams.create_stream),
    Route("GET", _STREAM, streams.get_stream),
    Route("DELETE", _STREAM, streams.delete_stream),
    Route("GET", f"{_STREAM}/topics", topics.list_topics),
    Route("POST", f"{_STREAM}/topics", topics.create_topic),
    Route("GET", _TOPIC, topics.get_topic),
    Route("PATCH", _TOPIC, topics.update_topic),
    Route("DELETE", _TOPIC, topics.delete_topic),
    Route("POST", f"{_TOPIC}/purge", topics.purge_topic),
    Route("POST", f"{_TOPIC}/partitions", topics.add_partitions),
    Route("GET", _OFFSETS, offsets.list_offsets),
    Route("PUT", _OFFSETS, offsets.put_offsets),
    Route("DELETE", _OFFSETS, offsets.delete_offsets),
    Route("GET", f"{_OFFSETS}/{{partition}}", offsets.get_offset),
    Route("PUT", f"{_OFFSETS}/{{partition}}", offsets.put_offset),
    Route("DELETE", f"{_OFFSETS}/{{partition}}", offsets.delete_offset),
    Route("GET", _GROUPS, groups.list_groups),
    Route("GET", _GROUP, groups.get_group),
    Route("DELETE", _GROUP, groups.delete_group),
    Route("PUT", f"{_GROUP}/offsets", groups.seek),
    Route("POST", f"{_GROUP}/receive", groups.receive),
    Route("POST", f"{_GROUP}/ack", groups.ack),
    Route("POST", f"{_GROUP}/nack", groups.nack),
    Route("POST", f"{_GROUP}/extend", groups.extend),
)
