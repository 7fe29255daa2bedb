"""Messages in (shell)."""

from typing import Final

from aiohttp import hdrs, web

from bridge.errors import Outcome, UnsupportedMediaType
from bridge.messagelog import NO_HEADERS, TopicRef
from bridge.policy.body_kinds import BodyKind, body_kind
from bridge.telemetry.trace_context import headers_with
from bridge.web.bodies.whole import check_json_type, read_any
from bridge.web.handlers.bulk import send_lines, send_raw
from bridge.web.handlers.path_params import named_topic, refuse_query
from bridge.web.keys import EXCHANGE
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.server.turns import in_turns
from bridge.web.wire.answers import batch_json, receipt_json
from bridge.web.wire.submissions import batch_steps, message_steps, plain_message

# By a name of its own: to find a member of an enumeration takes 400 instructions.
_JSON: Final = BodyKind.JSON


async def send(request: web.Request) -> web.StreamResponse:
    """`POST .../messages`: one event, stored when the answer is 201; of other types, what `bulk` takes."""
    exchange = request[EXCHANGE]
    services = exchange.services
    accepted_us = services.clock.now_us()
    topic = named_topic(exchange)
    kind = body_kind(exchange.headers.get(hdrs.CONTENT_TYPE, ""))
    if kind is not _JSON:
        return await _send_otherwise(request, topic, kind)
    refuse_query(request, exchange)
    body = await read_any(request, exchange)
    deadline, headers = exchange.deadline, headers_with(exchange.trace, NO_HEADERS)
    submission = plain_message(body, headers)
    if submission is None:
        # What takes long to check is checked in turns with other requests.
        steps = message_steps(body, headers)
        submission = await in_turns(steps, deadline=deadline, outcome=Outcome.NOT_WRITTEN)
    messages = submission.messages
    receipt = await services.appender.append(topic, submission.placement, messages, deadline=deadline)
    # By place: a class whose arguments are named takes 1,000 instructions more.
    return JsonAnswer(receipt_json(submission.event_ids[0], topic, receipt, accepted_us), 201)


async def _send_otherwise(request: web.Request, topic: TopicRef, kind: BodyKind | None) -> web.StreamResponse:
    if kind is BodyKind.NDJSON:
        return await send_lines(request, topic)
    if kind is None:
        raise UnsupportedMediaType(
            "The body must be application/json, application/x-ndjson, application/octet-stream or text/*, "
            "in UTF-8 where it is text.",
            path="Content-Type",
        )
    return await send_raw(request, topic, kind)


async def send_batch(request: web.Request) -> web.StreamResponse:
    """`POST .../messages/batch`: all events or none, in order, into one partition."""
    exchange = request[EXCHANGE]
    services = exchange.services
    accepted_us = services.clock.now_us()
    topic = named_topic(exchange)
    check_json_type(request)
    body = await read_any(request, exchange)
    steps = batch_steps(
        body, headers_with(exchange.trace, NO_HEADERS), messages_max=services.http.batch_messages_max
    )
    submission = await in_turns(steps, deadline=exchange.deadline, outcome=Outcome.NOT_WRITTEN)
    messages = submission.messages
    receipt = await services.appender.append(
        topic, submission.placement, messages, deadline=exchange.deadline
    )
    return JsonAnswer(batch_json(submission.event_ids, topic, receipt, accepted_us), status=201)
