"""Topics (shell)."""

from aiohttp import web

from bridge.messagelog import TopicRef
from bridge.web.body import read_body
from bridge.web.handlers.answers import answer, created, no_content
from bridge.web.handlers.places import stream_of, topic_of
from bridge.web.keys import DEADLINE, SERVICES
from bridge.web.wire_answers import topic_json, topics_json
from bridge.web.wire_places import read_topic
from bridge.web.wire_queries import refuse_query

__all__ = ("create_topic", "delete_topic", "get_topic", "list_topics")


async def list_topics(request: web.Request) -> web.Response:
    """`GET /streams/{stream}/topics`."""
    refuse_query(request.query.items())
    stream = stream_of(request)
    return answer(topics_json(await request.app[SERVICES].log.topics(stream, deadline=request[DEADLINE])))


async def create_topic(request: web.Request) -> web.Response:
    """`POST /streams/{stream}/topics`: 201, or 409 if there is one of that name."""
    refuse_query(request.query.items())
    stream = stream_of(request)
    order = read_topic(await read_body(request))
    topic = await request.app[SERVICES].log.create_topic(
        TopicRef(stream, order.name),
        partitions_count=order.partitions_count,
        durability=order.durability,
        retention=order.retention,
        deadline=request[DEADLINE],
    )
    return created(topic_json(topic), location=f"/streams/{stream}/topics/{order.name}")


async def get_topic(request: web.Request) -> web.Response:
    """`GET /streams/{stream}/topics/{topic}`, with its partitions."""
    refuse_query(request.query.items())
    return answer(
        topic_json(await request.app[SERVICES].log.topic(topic_of(request), deadline=request[DEADLINE]))
    )


async def delete_topic(request: web.Request) -> web.Response:
    """`DELETE /streams/{stream}/topics/{topic}`: with its messages and offsets."""
    refuse_query(request.query.items())
    await request.app[SERVICES].log.delete_topic(topic_of(request), deadline=request[DEADLINE])
    return no_content()
