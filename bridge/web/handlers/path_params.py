"""Which stream and topic a request is about, and that its query says no more (shell over `policy.names`)."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from bridge.errors import BadRequest, Forbidden
from bridge.limits import CONSUMER_ID_MAX, GROUP_NAME_CHARS_MAX, NAME_CHARS_MAX
from bridge.messagelog import ConsumerKey, TopicRef
from bridge.policy.names import NAME_SCHEMA, check_name
from bridge.web.keys import EXCHANGE, Exchange, Services
from bridge.web.wire.queries import PARTITION_ID_MAX, unique_parameters

_NAME: Final = {"type": "string", **NAME_SCHEMA}
_DIGITS: Final = "[1-9][0-9]{0,8}|1000000000"
#: What may stand in each place of a path, as JSON Schema; `groups.values.ref_of` looks at groups.
PATH_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stream": _NAME,
    "topic": _NAME,
    "group": {**_NAME, "maxLength": GROUP_NAME_CHARS_MAX},
    "consumer": {
        "type": "string",
        "description": f"A name, or digits for an id from 1 to {CONSUMER_ID_MAX}",
        "minLength": 1,
        "maxLength": NAME_CHARS_MAX,
        "anyOf": [{"pattern": NAME_SCHEMA["pattern"]}, {"pattern": f"^({_DIGITS})$"}],
    },
    "partition": {"type": "integer", "minimum": 0, "maximum": PARTITION_ID_MAX},
}


def stream_of(request: web.Request) -> str:
    """As `named_stream`, of a request."""
    return named_stream(request[EXCHANGE])


def topic_of(request: web.Request) -> TopicRef:
    """As `named_topic`, of a request."""
    return named_topic(request[EXCHANGE])


def named_stream(exchange: Exchange) -> str:
    """The stream named by the path.

    Raises:
        BadRequest: if none may be called so.
        Forbidden: if it is the bridge's own.
    """
    stream = check_name(exchange.names["stream"], kind="stream")
    refuse_own(exchange.services, stream, path="stream")
    return stream


def named_topic(exchange: Exchange) -> TopicRef:
    """The topic named by the path, or the default one where the path names none.

    Raises:
        As `named_stream`.
    """
    names = exchange.names
    if "topic" in names:
        return TopicRef(named_stream(exchange), check_name(names["topic"], kind="topic"))
    return exchange.services.default_topic


def refuse_own(services: Services, stream: str, *, path: str) -> None:
    """Nobody reads a stream of the bridge's own, writes to it or changes it.

    What a stranger wrote there would be taken for what other replicas said; who could read it would know what others
    were given.

    Raises:
        Forbidden: if *stream* is one; *path* says where it was named.
    """
    if services.groups.is_own(stream):
        raise Forbidden("This stream is the bridge's own.", path=path)


def refuse_query(request: web.Request, exchange: Exchange) -> None:
    """For routes that take no parameter but the key.

    Raises:
        BadRequest: if there is one.
    """
    # Most have no query: a multidict of nothing takes 13,000 instructions.
    if "?" in exchange.target:
        unique_parameters(request.query.items(), frozenset())


def consumer_of(request: web.Request) -> ConsumerKey:
    """The consumer named by the path; digits are an id.

    Raises:
        BadRequest: if none may be called so.
    """
    text = request[EXCHANGE].names["consumer"]
    if not _is_number(text):
        return check_name(text, kind="consumer")
    return _number(text, kind="consumer", minimum=1, maximum=CONSUMER_ID_MAX)


def partition_of(request: web.Request) -> int:
    """The partition named by the path.

    Raises:
        BadRequest: if it is no number.
    """
    return _number(
        request[EXCHANGE].names["partition"], kind="partition", minimum=0, maximum=PARTITION_ID_MAX
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str, *, kind: str, minimum: int, maximum: int) -> int:
    # Leading zeros mean nothing, and Python refuses to read some thousand digits.
    digits = text.lstrip("0") or text[-1:]
    if _is_number(text) and len(digits) <= len(str(maximum)) and minimum <= int(digits) <= maximum:
        return int(digits)
    raise BadRequest(f"The {kind} in the path is a whole number from {minimum} to {maximum}.", path=kind)
