"""What the document says of one operation (pure): the words; the types stand where values are read and written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from bridge import errors
from bridge.errors import BridgeError

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"

#: What reading a body can fail with; of operations that take none and refuse what comes all the same, named there.
BODY_ERRORS: Final = (errors.RequestBodyTimeout, errors.PayloadTooLarge, errors.UnsupportedMediaType)
#: What naming a stream or a topic can fail with.
NOT_FOUND: Final = (errors.StreamNotFound, errors.TopicNotFound)
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Content(NamedTuple):
    """A body in one media type.

    Attributes:
        types: it is of one of these; none where it is no JSON.
        text: what it is, where it is no JSON.
        schema: of what is no JSON; None is text.
        examples: by name; JSON as values, anything else as text.
        bytes_min: of what is no JSON.
    """

    media_type: str
    types: tuple[Any, ...] = ()
    text: str = ""
    examples: Mapping[str, Any] = _NONE
    bytes_min: int = 0
    schema: Mapping[str, Any] | None = None


class Reply(NamedTuple):
    """An answer that is no problem; *headers* beyond those that every answer has."""

    description: str
    contents: tuple[Content, ...] = ()
    headers: tuple[str, ...] = ()


class ApiOperation(NamedTuple):
    """One method of one path.

    Attributes:
        id: unique in the document; clients name their functions by it.
        tag: the chapter that it stands in.
        queries: the structs whose fields the query may hold; none where it may hold nothing.
        ignores_query: whatever else it holds does not matter: probes and scrapers add what they like.
        headers: of the request, beyond those that every request may have.
        bodies: one for each media type; none where there is no body.
        errors: those that this operation can fail with beyond what any can, and any that reads a body.
        needs_key: whether it asks for the key, where one is configured.
    """

    id: str
    tag: str
    summary: str
    description: str
    replies: Mapping[int, Reply]
    queries: tuple[type[msgspec.Struct], ...] = ()
    ignores_query: bool = False
    headers: tuple[str, ...] = ()
    bodies: tuple[Content, ...] = ()
    body_required: bool = True
    errors: tuple[type[BridgeError], ...] = ()
    needs_key: bool = True


def json_body(kind: Any, example: Any) -> tuple[Content, ...]:
    """A body of JSON, with one example."""
    return (Content(JSON, (kind,), examples={"body": example}),)


def json_reply(description: str, kind: Any, example: Any, *, headers: tuple[str, ...] = ()) -> Reply:
    """An answer of JSON, with one example."""
    return Reply(description, (Content(JSON, (kind,), examples={"answer": example}),), headers)
