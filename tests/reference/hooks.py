"""What Schemathesis cannot read in the document: which parameters go together, and that each caller has an address."""

import itertools
from typing import Any

import schemathesis

_calls = itertools.count()
_LINES = '{"n":1}\n"two"\n'
_PAGE = ("partition_id", "consumer", "offset", "from", "count", "auto_commit", "wait_ms", "min_count")
_CURSOR = ("cursor", "partitions", "count", "wait_ms", "min_count")
_LIVE = ("from", "partitions", "event_type")
_HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "bridge.v1",
}
_NAMED = {"stream", "topic", "group"}
_AMOUNTS = {"unit_price", "total_amount"}
_READS = {"poll", "pollTopic"}
_STREAMS = {"stream", "streamTopic"}
_WRITES = {"publish", "publishToTopic"}


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """As text, whatever it is."""
    return str(value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Each call comes from another address, as wrong keys lock one out; and what must be valid is made to agree."""
    number = next(_calls)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if _HANDSHAKE.items() <= dict(case.headers).items() and "Sec-WebSocket-Key" in case.headers:
        # What comes behind a 101 is no HTTP, and the connection is used again.
        del case.headers["Upgrade"]
    for each, value in case.headers.items():
        # Some are taken from answers, where they are numbers.
        case.headers[each] = str(value)
    if case.meta is None or not case.meta.generation.mode.is_positive or case.method == "HEAD":
        return
    if isinstance(case.body, dict | list):
        # A body that is not there must not be set: Schemathesis would take the call for one that must be refused.
        case.body = _spelled(case.body)
    _agree_names(case)
    name = case.operation.definition.raw.get("operationId")
    if name in _READS:
        _agree_reads(case, number)
    elif name in _STREAMS:
        _agree_stream(case)
    elif name in _WRITES:
        _agree_writes(case)
    elif name == "seekGroup":
        _agree_seek(case)


def _agree_names(case: Any) -> None:
    for place, value in case.path_parameters.items():
        # Taken from answers, where ids are numbers; only consumers and partitions are called so.
        if place in _NAMED and str(value).isdigit():
            case.path_parameters[place] = f"n{value}"


def _spelled(value: Any) -> Any:
    """
    The same with whole numbers written as such: to JSON Schema 1.0 is an integer, to the bridge it is none.

    Amounts have 38 digits when they are spelled out, which JSON Schema cannot say.
    """
    if isinstance(value, dict):
        return {
            key: "19.90" if key in _AMOUNTS and isinstance(each, float | str) else _spelled(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_spelled(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _kept(query: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: query[name] for name in names if name in query}


def _agree_reads(case: Any, number: int) -> None:
    query = dict(case.query or {})
    if number % 5 == 0:
        case.headers["Accept"] = "text/event-stream"
        _agree_stream(case)
        return
    by_cursor = "cursor" in query
    query = _kept(query, _CURSOR) | {"cursor": "first"} if by_cursor else _kept(query, _PAGE)
    if "offset" in query:
        query.pop("from", None)
    if "partitions" in query:
        query["partitions"] = "0,2"
    if "wait_ms" in query:
        query["wait_ms"] = min(int(query["wait_ms"]), 20)
    if "min_count" in query:
        query["min_count"] = 1
    if number % 5 == 1:
        case.headers["Accept"] = "application/x-ndjson"
        for each in ("wait_ms", "min_count", "auto_commit"):
            query.pop(each, None)
        if query.get("from") == "last":
            query["count"] = 1
    case.query = query


def _agree_stream(case: Any) -> None:
    query = _kept(dict(case.query or {}), _LIVE)
    if query.get("from") == "next":
        query["from"] = "last"
    if "partitions" in query:
        query["partitions"] = "0,2"
    case.query = query
    case.headers.pop("Last-Event-ID", None)


def _agree_seek(case: Any) -> None:
    to = case.body.get("to")
    if isinstance(to, dict):
        to["offsets"] = list({each["partition_id"]: each for each in to["offsets"]}.values())


def _agree_writes(case: Any) -> None:
    query = dict(case.query or {})
    if case.media_type == "application/json":
        query = {}
    elif case.media_type == "application/x-ndjson":
        case.body = _LINES
        query.pop("lines", None)
    else:
        query.pop("on_error", None)
        query.pop("lines", None)
    if "partition_id" in query:
        query.pop("partition_key", None)
    case.query = query
