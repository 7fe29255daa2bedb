"""One message that a socket publishes, checked as HTTP checks it (shell; it gives ids)."""

import uuid
from typing import Final

from msgspec import UNSET

from bridge.clock import Deadline
from bridge.errors import BadRequest, RequestError
from bridge.messagelog import Balanced, Headers, NewMessage, Placement, ToPartition, TopicRef
from bridge.policy.names import check_name
from bridge.web.sockets.operations import Publish, Subscribe, base64_payload
from bridge.web.sockets.publishing import Publication
from bridge.web.wire.bulk import message_headers
from bridge.web.wire.submissions import placement_of, read_message

__all__ = ("publication_of", "topic_of")

_HEADER: Final = "message-header-"


def topic_of(operation: Publish | Subscribe, default: TopicRef) -> TopicRef:
    """
    The topic that *operation* names, or the default one where it names none.

    Raises:
        BadRequest: if none may be called so.
    """
    if operation.stream is None or operation.topic is None:
        return default
    for kind, name in (("stream", operation.stream), ("topic", operation.topic)):
        try:
            check_name(name, kind=kind)
        except BadRequest as error:
            error.path = f"$.{kind}"
            raise
    return TopicRef(operation.stream, operation.topic)


def publication_of(asked: Publish, topic: TopicRef, *, accepted_us: int, deadline: Deadline) -> Publication:
    """
    The message that *asked* is about.

    Raises:
        SerializationError: if its event is none; `path` says where.
        BadRequest: if it is empty, or its key or headers are out of bounds.
    """
    placement = _placement(asked)
    if asked.event is not UNSET:
        # As the body of a POST, whose paths are then right here as well.
        submission = read_message(b'{"event":%b}' % bytes(asked.event))
        message_id, message = submission.event_ids[0], submission.messages[0]
    else:
        made = uuid.uuid4()
        message_id, message = str(made), NewMessage(_payload(asked), made.int, _headers(asked))
    return Publication(
        operation_id=asked.id,
        topic=topic,
        placement=placement,
        message=message,
        message_id=message_id,
        is_event=asked.event is not UNSET,
        accepted_us=accepted_us,
        deadline=deadline,
    )


def _placement(asked: Publish) -> Placement:
    if asked.partition_id is not None:
        return ToPartition(asked.partition_id)
    if asked.partition_key is not None:
        return placement_of(asked.partition_key, path="$.partition_key")
    return Balanced()


def _payload(asked: Publish) -> bytes:
    if asked.payload is not UNSET:
        return bytes(asked.payload)
    if asked.text is not UNSET:
        path, payload = "$.text", asked.text.encode()
    else:
        path, payload = "$.payload_base64", base64_payload(asked.payload_base64 or "")
    if not payload:
        raise BadRequest("The message is empty; it has at least one byte.", path=path, limit=1)
    return payload


def _headers(asked: Publish) -> Headers:
    try:
        return message_headers((_HEADER + name, value) for name, value in (asked.headers or {}).items())
    except RequestError as error:
        error.path = "$.headers"
        raise
