"""Which stream and topic a request is about (shell over `policy.names`)."""

from aiohttp import web

from bridge.errors import BadRequest, Forbidden
from bridge.limits import CONSUMER_ID_MAX
from bridge.messagelog import ConsumerKey, TopicRef
from bridge.policy.names import check_name
from bridge.web.arrivals import Arrival
from bridge.web.keys import SERVICES
from bridge.web.wire_queries import PARTITION_ID_MAX

__all__ = (
    "consumer_of",
    "partition_of",
    "stream_of",
    "stream_to_change",
    "topic_of",
    "topic_to_change",
)


def stream_of(request: web.Request) -> str:
    """
    The stream named by the path.

    Raises:
        BadRequest: if none may be called so.
    """
    return check_name(request.match_info["stream"], kind="stream")


def topic_of(request: web.Request) -> TopicRef:
    """
    The topic named by the path, or the default one where the path names none.

    Raises:
        BadRequest: if none may be called so.
    """
    if "topic" not in request.match_info:
        defaults = request.app[SERVICES].log_config
        return TopicRef(defaults.stream, defaults.topic)
    return TopicRef(stream_of(request), check_name(request.match_info["topic"], kind="topic"))


def stream_to_change(request: web.Request) -> str:
    """
    The stream named by the path, to write to it or remove it.

    Raises:
        BadRequest: as `stream_of`.
        Forbidden: if it is the bridge's own.
    """
    stream = stream_of(request)
    _refuse_own(request, stream)
    return stream


def topic_to_change(request: web.Request) -> TopicRef:
    """
    The topic named by the path, or the default one, to write to it, change or remove it.

    Raises:
        BadRequest: as `topic_of`.
        Forbidden: if it is the bridge's own.
    """
    facts = request.head.facts if isinstance(request, Arrival) else {}
    known: TopicRef | None = facts.get(topic_to_change)
    if known is None:
        known = topic_of(request)
        _refuse_own(request, known.stream)
        facts[topic_to_change] = known
    return known


def _refuse_own(request: web.Request, stream: str) -> None:
    # What a stranger wrote there would be taken for what other replicas said.
    if request.app[SERVICES].groups.is_own(stream):
        raise Forbidden("This stream is the bridge's own: only the bridge writes to it.", path="stream")


def consumer_of(request: web.Request) -> ConsumerKey:
    """
    The consumer named by the path; digits are an id.

    Raises:
        BadRequest: if none may be called so.
    """
    text = request.match_info["consumer"]
    if not _is_number(text):
        return check_name(text, kind="consumer")
    return _number(text, kind="consumer", minimum=1, maximum=CONSUMER_ID_MAX)


def partition_of(request: web.Request) -> int:
    """
    The partition named by the path.

    Raises:
        BadRequest: if it is no number.
    """
    return _number(request.match_info["partition"], kind="partition", minimum=0, maximum=PARTITION_ID_MAX)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str, *, kind: str, minimum: int, maximum: int) -> int:
    # Leading zeros mean nothing, and Python refuses to read some thousand digits.
    digits = text.lstrip("0") or text[-1:]
    if _is_number(text) and len(digits) <= len(str(maximum)) and minimum <= int(digits) <= maximum:
        return int(digits)
    raise BadRequest(f"The {kind} in the path is a whole number from {minimum} to {maximum}.", path=kind)
