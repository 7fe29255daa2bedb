"""Stored offsets of a consumer (shell)."""

from aiohttp import web

from bridge.errors import BadRequest, PartitionNotFound
from bridge.flow.timers import some_at_once
from bridge.limits import OFFSETS_AT_ONCE
from bridge.messagelog import StoredOffset
from bridge.web.bodies.whole import read_body, refuse_body
from bridge.web.handlers.path_params import consumer_of, partition_of, topic_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.offsets import (
    PartitionProgress,
    check_offsets,
    offset_json,
    offsets_json,
    read_offset,
    read_offsets,
)


async def list_offsets(request: web.Request) -> web.StreamResponse:
    """`GET .../consumers/{consumer}/offsets`: of all partitions, with the lag of each and of all."""
    topic, consumer = topic_of(request), consumer_of(request)
    log, deadline = request[EXCHANGE].services.log, request[EXCHANGE].deadline
    info = await log.topic(topic, deadline=deadline)
    stored = await some_at_once(
        lambda partition_id: log.stored_offset(topic, partition_id, consumer, deadline=deadline),
        range(len(info.partitions)),
        OFFSETS_AT_ONCE,
    )
    return JsonAnswer(offsets_json(topic, consumer, list(map(PartitionProgress.of, info.partitions, stored))))


async def put_offsets(request: web.Request) -> web.StreamResponse:
    """`PUT .../consumers/{consumer}/offsets`: all are checked before one is stored; if it fails then, some may be."""
    topic, consumer = topic_of(request), consumer_of(request)
    offsets = read_offsets(await read_body(request))
    log, deadline = request[EXCHANGE].services.log, request[EXCHANGE].deadline
    info = await log.topic(topic, deadline=deadline)
    check_offsets(info, offsets)
    await some_at_once(
        lambda partition_id: log.store_offset(
            topic, partition_id, consumer, offsets[partition_id], deadline=deadline
        ),
        list(offsets),
        OFFSETS_AT_ONCE,
    )
    progress = [
        PartitionProgress.of(partition, StoredOffset(offsets[partition.id], partition.end_offset))
        for partition in info.partitions
        if partition.id in offsets
    ]
    return JsonAnswer(offsets_json(topic, consumer, progress))


async def delete_offsets(request: web.Request) -> web.StreamResponse:
    """`DELETE .../consumers/{consumer}/offsets`: forgotten in all partitions; no fault if there were none."""
    topic, consumer = topic_of(request), consumer_of(request)
    await refuse_body(request)
    log, deadline = request[EXCHANGE].services.log, request[EXCHANGE].deadline
    info = await log.topic(topic, deadline=deadline)
    await some_at_once(
        lambda partition_id: log.delete_offset(topic, partition_id, consumer, deadline=deadline),
        range(len(info.partitions)),
        OFFSETS_AT_ONCE,
    )
    return web.Response(status=204)


async def get_offset(request: web.Request) -> web.StreamResponse:
    """`GET .../consumers/{consumer}/offsets/{partition}`: null where none is stored."""
    topic, consumer, partition_id = topic_of(request), consumer_of(request), partition_of(request)
    log, deadline = request[EXCHANGE].services.log, request[EXCHANGE].deadline
    info = await log.topic(topic, deadline=deadline)
    if partition_id >= len(info.partitions):
        raise PartitionNotFound
    stored = await log.stored_offset(topic, partition_id, consumer, deadline=deadline)
    return JsonAnswer(
        offset_json(topic, consumer, PartitionProgress.of(info.partitions[partition_id], stored))
    )


async def put_offset(request: web.Request) -> web.StreamResponse:
    """`PUT .../consumers/{consumer}/offsets/{partition}`: forwards or backwards, not beyond the newest message."""
    topic, consumer, partition_id = topic_of(request), consumer_of(request), partition_of(request)
    offset = read_offset(await read_body(request))
    log, deadline = request[EXCHANGE].services.log, request[EXCHANGE].deadline
    try:
        await log.store_offset(topic, partition_id, consumer, offset, deadline=deadline)
    except BadRequest as error:
        error.path = "$.offset"
        raise
    partition = (await log.topic(topic, deadline=deadline)).partitions[partition_id]
    stored = StoredOffset(offset, max(partition.end_offset, offset + 1))
    return JsonAnswer(offset_json(topic, consumer, PartitionProgress.of(partition, stored)))


async def delete_offset(request: web.Request) -> web.StreamResponse:
    """`DELETE .../consumers/{consumer}/offsets/{partition}`: forgotten; no fault if there was none."""
    topic, consumer, partition_id = topic_of(request), consumer_of(request), partition_of(request)
    await refuse_body(request)
    await request[EXCHANGE].services.log.delete_offset(
        topic, partition_id, consumer, deadline=request[EXCHANGE].deadline
    )
    return web.Response(status=204)
