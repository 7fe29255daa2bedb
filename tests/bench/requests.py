"""
What clients send, in the words of each target (pure).

A request is a template with holes, which get something new each time it is sent: eight digits of each of its ids and of its
trace, and the offset. So no two requests are alike. Everything else (key, length, blanks, headers and their order) differs from
template to template. The seed is fixed: every run sends the same templates.
"""

import base64
import itertools
import json
import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, Final
from uuid import UUID

import xxhash

from tests.bench.cases import Case, Dialect, Kind

__all__ = (
    "FILLED",
    "KEYS",
    "OFFSETS",
    "PARTITIONS",
    "STREAM",
    "connections_of",
    "events",
    "fill",
    "filling",
    "lines",
    "read_query",
    "same_event",
    "templates",
    "zipf_key",
)

STREAM: Final = "bench"
PARTITIONS: Final = 3
#: Messages that each partition holds before anything is read; partition 0 twice as many, for NDJSON out.
FILLED: Final = 50_000
#: Holes for eight hexadecimal digits and for an offset; neither byte stands in a request as it is.
_DIGITS, _OFFSET = "\x01", "\x02"
_DIGITS_COUNT: Final = 8
#: Odd, so that 65536 numbers in a row give as many ends of four digits.
_STEP: Final = 40503
#: Of about 100 messages each.
_COUNTS: Final = range(80, 121)
#: Any page of these offsets is whole.
OFFSETS: Final = FILLED - _COUNTS[-1]
KEYS: Final = 10_000
_TEMPLATES: Final = 4096
#: In all batches of a pool; each is a new mixture of the events.
_BATCHED: Final = 40_000
_EVENTS: Final = 4096
#: The median of an event's `data` and how far lengths go: half are between 130 and 300.
_DATA_BYTES, _DATA_SIGMA, _DATA_BYTES_MAX = 200, 0.6, 4000
_BLANKS, _CORRELATED, _IDENTIFIED, _TRACED, _SOURCED, _LOWER_CASE = 0.33, 0.1, 0.85, 0.8, 0.5, 0.33
#: Iggy's HTTP API answers 429 to more than 32 writes in flight.
_IGGY_HTTP_CONNECTIONS_MAX: Final = 30
_SEED: Final = 20261129
_AGENTS: Final = (
    "python-requests/2.32.3",
    "python-httpx/0.28.1",
    "Python/3.12 aiohttp/3.11.11",
    "okhttp/4.12.0",
    "Go-http-client/1.1",
    "axios/1.7.9",
    "node",
    "curl/8.11.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
)
_EVENT_TYPES: Final = ("order.created", "order.paid", "user.signed_in", "cart.changed", "ping")
_SOURCES: Final = ("shop", "billing", "checkout-eu-1", "mobile", "warehouse/7")
#: Notes are cut out of it.
_TEXT: Final = (
    'the parcel was left with a neighbour; please call before noon, second floor on the right, size 12" by 9". '
    "grüße aus köln, c'est déjà payé, see invoice 2026/118 and order no. 4711 for what is still to come. "
)
_SAME_IDS: Final = 0x7F2C1A526C1F4D0E9A3B0F5A3C0D9E11


def _uuid(random: Random) -> str:
    """With its last digits still to be filled in."""
    return str(UUID(int=random.getrandbits(128), version=4))[:-_DIGITS_COUNT] + _DIGITS


def _hex(random: Random, digits: int) -> str:
    """As `_uuid`."""
    return f"{random.getrandbits(4 * digits):0{digits}x}"[:-_DIGITS_COUNT] + _DIGITS


@cache
def _key_weights() -> Sequence[float]:
    return list(itertools.accumulate(1 / rank for rank in range(1, KEYS + 1)))


def zipf_key(random: Random) -> str:
    """One of `KEYS` customers, the n-th of which orders an n-th as often as the first."""
    weights = _key_weights()
    return f"customer-{bisect(weights, random.random() * weights[-1]) + 1}"


def _event(random: Random, *, blanks: bool) -> bytes:
    length = min(_DATA_BYTES_MAX, int(random.lognormvariate(math.log(_DATA_BYTES), _DATA_SIGMA)))
    data: dict[str, Any] = {
        "order": random.randrange(1000, 10_000_000),
        "total": f"{random.uniform(1, 900):.2f}",
        "lines": [random.randrange(1, 5000) for _ in range(random.randrange(1, 6))],
        "express": random.random() < 0.2,
        "note": "",
    }
    note_length = max(0, length - len(json.dumps(data)))
    begin = random.randrange(len(_TEXT))
    data["note"] = (_TEXT * (note_length // len(_TEXT) + 2))[begin : begin + note_length]
    event: dict[str, Any] = {
        "id": _uuid(random),
        "event_type": random.choice(_EVENT_TYPES),
        "timestamp": f"2026-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}T{random.randrange(24):02}:"
        f"{random.randrange(60):02}:{random.randrange(60):02}.{random.randrange(1_000_000):06}Z",
        "payload": {"type": "Generic", "data": data},
    }
    if random.random() < _CORRELATED:
        event["correlation_id"] = _uuid(random)
    if random.random() < _SOURCED:
        event["source"] = random.choice(_SOURCES)
    written = json.dumps(event, separators=None if blanks else (",", ":"), ensure_ascii=blanks)
    return written.replace(r"\u0001", _DIGITS).encode()


@cache
def events(*, blanks: bool) -> Sequence[bytes]:
    """With a hole for the id."""
    random = Random(_SEED + blanks)
    return [_event(random, blanks=blanks) for _ in range(_EVENTS)]


def same_event(number: int) -> bytes:
    """Of the load that sends the same bytes again and again: 293 to 299 of them."""
    event = {
        "id": str(UUID(int=_SAME_IDS + number)),
        "event_type": "order.created",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "payload": {
            "type": "Generic",
            "data": {"order": 1000 + number, "customer": "c-4711", "note": "n" * 80, "lines": [1, 2, 3]},
        },
        "source": "bench",
    }
    return json.dumps(event, separators=(",", ":")).encode()


def fill(template: bytes, number: int, offset: int = 0) -> bytes:
    """*template* as it is sent as the *number*-th; `load.lua` does the same."""
    digits = b"%04x%04x" % (number >> 16 & 0xFFFF, number * _STEP & 0xFFFF)
    return template.replace(_DIGITS.encode(), digits).replace(_OFFSET.encode(), b"%d" % offset)


def connections_of(case: Case, dialect: Dialect) -> int:
    if dialect is Dialect.IGGY_HTTP:
        return min(case.connections, _IGGY_HTTP_CONNECTIONS_MAX)
    return case.connections


def read_query(case: Case, random: Random) -> tuple[int, str, int]:
    """A partition, an offset (which may be a hole) and a count."""
    if case.key.startswith("get-same"):
        return 0, "0", case.messages
    if case.same:
        return 0, _OFFSET, case.messages
    return random.randrange(PARTITIONS), _OFFSET, random.choice(_COUNTS)


def templates(case: Case, dialect: Dialect, host: str, headers: Mapping[str, str], topic: str) -> list[bytes]:
    """
    Whole requests with their holes: those of clients, or where the case wants it the same one always.

    Args:
        headers: each of them has these.
        topic: for Iggy's HTTP API, which has no default topic.
    """
    count = 1 if case.same else max(16, min(_TEMPLATES, _BATCHED // case.messages))
    if case.kind is not Kind.SEND:
        count = 1 if case.same else _TEMPLATES
    random = Random(f"{_SEED} {case.key}")
    return [_request(case, dialect, host, headers, topic, random) for _ in range(count)]


def _request(
    case: Case, dialect: Dialect, host: str, headers: Mapping[str, str], topic: str, random: Random
) -> bytes:
    path, body = "/messages" if case.messages == 1 else "/messages/batch", b""
    if dialect is Dialect.IGGY_HTTP:
        path = f"/streams/{STREAM}/topics/{topic}/messages"
    if case.kind is Kind.READ:
        path = _read_path(case, dialect, path.removesuffix("/batch"), random)
    else:
        body = _body(case, dialect, random)
    method = "GET" if case.kind is Kind.READ else "POST"
    lines = list(headers.items())
    if body:
        length = len(fill(body, 0))
        lines += [("Content-Type", "application/json"), ("Content-Length", str(length))]
    if not case.same:
        lines = _as_clients_write(lines, random)
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in lines)]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _as_clients_write(lines: list[tuple[str, str]], random: Random) -> list[tuple[str, str]]:
    lines = [("User-Agent", random.choice(_AGENTS)), ("Accept", "*/*"), *lines]
    if random.random() < _IDENTIFIED:
        lines.append(("X-Request-Id", _uuid(random)))
    if random.random() < _TRACED:
        lines.append(("traceparent", f"00-{_hex(random, 32)}-{_hex(random, 16)}-01"))
    random.shuffle(lines)
    lower_case = random.random() < _LOWER_CASE
    return [(name.lower(), value) for name, value in lines] if lower_case else lines


def _read_path(case: Case, dialect: Dialect, path: str, random: Random) -> str:
    partition, offset, count = read_query(case, random)
    if dialect is Dialect.IGGY_HTTP:
        query = f"partition_id={partition}&kind=offset&value={offset}&count={count}&auto_commit=false"
        return f"{path}?consumer_id=1&{query}"
    named = "" if case.same or random.random() < 0.5 else f"&consumer_id={random.randrange(1, 1000)}"
    return f"{path}?partition_id={partition}&offset={offset}&count={count}{named}"


def _body(case: Case, dialect: Dialect, random: Random) -> bytes:
    blanks = not case.same and random.random() < _BLANKS
    if case.same:
        sent = [same_event(number) for number in range(case.messages)]
    elif case.messages == 1:
        sent = [random.choice(events(blanks=blanks))]
    else:
        chosen = random.choices(events(blanks=blanks), k=case.messages)
        sent = [fill(one, random.getrandbits(32)) for one in chosen]
    key = "" if case.same else zipf_key(random)
    if dialect is Dialect.IGGY_HTTP:
        return _iggy_body([fill(one, random.getrandbits(32)) for one in sent], key, blanks=blanks)
    comma, colon = (b", ", b": ") if blanks else (b",", b":")
    value = sent[0] if case.messages == 1 else b"[" + comma.join(sent) + b"]"
    keyed = comma + b'"partition_key"' + colon + json.dumps(key).encode() if key else b""
    return b'{"event%b"%b%b%b}' % (b"" if case.messages == 1 else b"s", colon, value, keyed)


def _iggy_body(sent: Sequence[bytes], key: str, *, blanks: bool) -> bytes:
    messages = [{"id": 0, "payload": base64.b64encode(one).decode()} for one in sent]
    kind = {"kind": "messages_key", "value": base64.b64encode(key.encode()).decode()}
    body = {"partitioning": kind if key else {"kind": "balanced", "value": ""}, "messages": messages}
    return json.dumps(body, separators=None if blanks else (",", ":")).encode()


def lines(count: int, *, first: int = 0) -> Sequence[bytes]:
    """Of NDJSON, *count* events numbered from *first* on; no two numbers give the same, and a third has blanks."""
    pools = [events(blanks=True), events(blanks=False), events(blanks=False)]
    return [fill(pools[number % 3][number % _EVENTS], number) for number in range(first, first + count)]


def filling(partition: int, first: int) -> bytes:
    """The body of a batch of 1000 for *partition*: the events numbered from *first* on."""
    key = next(
        key
        for key in map(str, itertools.count())
        if xxhash.xxh32_intdigest(key.encode(), 0) % PARTITIONS == partition
    )
    return b'{"events":[%b],"partition_key":"%b"}' % (b",".join(lines(1000, first=first)), key.encode())
