"""
Invariant: what clients hand back (cursors, tokens of groups, traces, queries) is read as it was given or refused in words.

The first byte says what the rest is to be. Cursors and tokens are also tried with a tag that holds, since a byte that is
flipped at random never gets past it.
"""

from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl

from bridge.errors import BadRequest
from bridge.groups.records import GroupRef
from bridge.groups.tokens import Tokens
from bridge.limits import CURSOR_CHARS_MAX, TRACE_STATE_CHARS_MAX
from bridge.policy.cursors import Cursor, Cursors
from bridge.telemetry.trace_context import TRACEPARENT, trace_context
from bridge.web.wire.queries import read_bulk_query, read_poll_query

__all__ = ("check",)

TOPIC: Final = ("stream", "topic")
CURSORS: Final = Cursors(b"a key for the fuzzer alone")
TOKENS: Final = Tokens(GroupRef("stream", "topic", "group"), b"a key for the fuzzer alone")
PARTITION_BYTES, OFFSET_BYTES = 1, 5
COUNT_MAX: Final = 100


def check_cursor(text: str) -> None:
    try:
        cursor = CURSORS.read(text, TOPIC)
    except BadRequest:
        return
    if CURSORS.token(cursor) != text:
        raise AssertionError("a second token of one cursor")


def check_positions(data: bytes) -> None:
    """A cursor that could have been told comes back as it was."""
    size = PARTITION_BYTES + OFFSET_BYTES
    partition_id, positions = -1, []
    for at in range(0, len(data) - size, size):
        partition_id += 1 + data[at]
        positions.append((partition_id, int.from_bytes(data[at + PARTITION_BYTES : at + size])))
    cursor = Cursor(TOPIC, tuple(positions), every=bool(data[-1:] < b"\x80"))
    try:
        token = CURSORS.token(cursor)
    except BadRequest:
        return
    if len(token) > CURSOR_CHARS_MAX or CURSORS.read(token, TOPIC) != cursor:
        raise AssertionError("a cursor is not what was put in")


def check_token(text: str) -> None:
    try:
        token = TOKENS.read(text, path="$.tokens[0]")
    except BadRequest:
        return
    if TOKENS.text(token) != text:
        raise AssertionError("a second text of one token")


def check_trace(text: str) -> None:
    parent, *states = text.split("\n")
    trace = trace_context([parent], states)
    if trace is None:
        return
    if len(trace.state) > TRACE_STATE_CHARS_MAX:
        raise AssertionError("the state is too long")
    given = trace.headers()
    if trace_context([given[TRACEPARENT]], [trace.state] if trace.state else []) != trace:
        raise AssertionError("what is handed on is read otherwise")


def check_query(text: str) -> None:
    pairs = parse_qsl(text, keep_blank_values=True)
    with suppress(BadRequest):
        query = read_poll_query(pairs, count_max=COUNT_MAX)
        if not 1 <= query.messages_max <= COUNT_MAX:
            raise AssertionError("a count beyond its bound")
    with suppress(BadRequest):
        read_bulk_query(pairs)


def check(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    text = rest.decode(errors="replace")
    match kind:
        case b"c":
            check_cursor(text)
        case b"p":
            check_positions(rest)
        case b"t":
            check_token(text)
        case b"w":
            check_trace(text)
        case _:
            check_query(text)
