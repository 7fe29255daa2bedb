"""Messages in as they are (shell): a body that is one message, or one message a line."""

import uuid
from functools import partial
from typing import Any, Final

from aiohttp import web

from bridge.errors import BadRequest, BridgeError, SerializationError
from bridge.limits import NDJSON_LINE_BYTES_MAX
from bridge.messagelog import Headers, NewMessage, TopicRef
from bridge.policy.body_kinds import BodyKind
from bridge.telemetry.trace_context import headers_with
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.codings import inflater_of
from bridge.web.bodies.line_intake import ChunkReader, LineIntake
from bridge.web.bodies.whole import check_coding, invite, read_any
from bridge.web.bodies.whole_messages import whole_line_bytes_max
from bridge.web.handlers.access import principal_of
from bridge.web.keys import EXCHANGE
from bridge.web.server.grants import hold_body
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.bulk import (
    LineKind,
    message_headers,
    progress,
    raw_receipt_json,
    read_send_query,
    stored_json,
)

_CREATED: Final = 201
#: Some lines are stored and some are not; the body says which.
_MULTI_STATUS: Final = 207


async def send_raw(request: web.Request, topic: TopicRef, kind: BodyKind) -> web.StreamResponse:
    """The whole body as one message, under an id made here."""
    services = request[EXCHANGE].services
    accepted_us = services.clock.now_us()
    query = read_send_query(request.query.items(), lines=False)
    headers = _headers(request)
    body = await read_any(request, request[EXCHANGE])
    if not body:
        raise BadRequest("The body is empty; a message has at least one byte.", path="body", limit=1)
    if kind is BodyKind.TEXT:
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise SerializationError(f"The text is not UTF-8 at byte {error.start}.", path="body") from None
    message_id = uuid.uuid4()
    receipt = await services.appender.append(
        topic,
        query.placement,
        (NewMessage(body, message_id.int, headers),),
        deadline=request[EXCHANGE].deadline,
    )
    return JsonAnswer(raw_receipt_json(str(message_id), topic, receipt, accepted_us), status=_CREATED)


def _headers(request: web.Request) -> Headers:
    """What every message gets."""
    return headers_with(request[EXCHANGE].trace, message_headers(request.headers.items()))


async def send_lines(request: web.Request, topic: TopicRef) -> web.StreamResponse:
    """NDJSON: each line's value is a message, as its own bytes, under a random id; committed in batches, in order.

    With `lines=messages` each line is an object as `GET` gives it, and the message in it keeps its id and headers. Such a
    line is as long as a message of `MAX_REQUEST_BODY_SIZE` needs; of a long one no more is held than of other bodies.

    201 if every line is stored. A faulty line stops everything after it (`on_error=stop`: 400, and what was stored
    before it is told), or is passed over (`on_error=skip`: 207, or 400 where nothing was left). The request's time
    holds for every batch by itself.
    """
    services = request[EXCHANGE].services
    accepted_us = services.clock.now_us()
    query = read_send_query(request.query.items(), lines=True)
    # Copies keep what they had: the trace of who copies them is another.
    copied = query.line_kind is LineKind.MESSAGES
    headers = message_headers(request.headers.items()) if copied else _headers(request)
    inflater = inflater_of(check_coding(request))
    with services.bulk_writes.joined(request[EXCHANGE].client):
        writer = BulkWriter(
            services.appender,
            topic,
            query.placement,
            headers=headers,
            clock=services.clock,
            batch_timeout_s=request[EXCHANGE].deadline.remaining_s(),
        )
        whole_bytes_max = whole_line_bytes_max(request.client_max_size)
        intake = LineIntake(
            writer,
            inflater,
            on_error=query.on_error,
            line_kind=query.line_kind,
            line_bytes_max=whole_bytes_max if copied else NDJSON_LINE_BYTES_MAX,
            headers=headers,
            hold=partial(hold_body, request),
        )
        services.lifecycle.backstops.lift()
        try:
            with services.lifetimes.of_request(principal_of(request)):
                await _read_lines(request, writer, intake)
        except BridgeError as error:
            if not request.content.at_eof():
                # Nobody reads the rest.
                request[EXCHANGE].closes = True
            error.members = _problem_members(writer, intake)
            raise
        finally:
            await writer.abandon()
    members = _members(writer, intake)
    return JsonAnswer(
        stored_json(members, topic, accepted_us), status=_MULTI_STATUS if intake.failed else _CREATED
    )


async def _read_lines(request: web.Request, writer: BulkWriter, intake: LineIntake) -> None:
    reader = ChunkReader(request, writer)
    try:
        await invite(request)
        while chunk := await reader.next():
            await intake.take(chunk)
        await intake.end()
    except BridgeError:
        # Whole lines that came before the fault are stored; if that fails, it is the fault to tell.
        await writer.close()
        raise
    await writer.close()
    if not writer.stored and intake.failed:
        raise SerializationError("No line of the body is a message.", path="body")
    if not writer.stored:
        raise BadRequest("The body holds no line with a message.", path="body", limit=1)


def _members(writer: BulkWriter, intake: LineIntake) -> dict[str, Any]:
    return progress(
        stored=writer.stored,
        ranges=writer.ranges.found,
        failed=intake.failed,
        faults=intake.faults,
        durability=writer.durability,
    )


def _problem_members(writer: BulkWriter, intake: LineIntake) -> dict[str, Any]:
    members = _members(writer, intake)
    return {"stored_lines": members.pop("stored"), "resume_line": writer.stored_to + 1, **members}
