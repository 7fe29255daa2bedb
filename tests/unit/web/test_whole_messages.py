"""Whole messages as lines: what was read can be sent, and headers that no log takes are faults of their line."""

import json
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from bridge.events import result_of
from bridge.limits import NDJSON_WHOLE_LINE_SPARE_BYTES
from bridge.messagelog import HeaderValue, Message, Records
from bridge.web.bodies.ndjson import Lines, Run, line_steps
from bridge.web.bodies.whole_messages import whole_line_bytes_max, whole_steps
from bridge.web.wire.pages import PageEncoder
from bridge.web.wire.payload_forms import Form, form_of
from tests.support.events import user_event

_ONE_LINE: Final = bytes.maketrans(b"\n\r", b"  ")
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_PAYLOADS: Final = (
    st.binary(min_size=1)
    | st.text(min_size=1).map(str.encode)
    | st.builds(
        lambda value, indent: json.dumps(value, indent=indent).encode(), _VALUES, st.none() | st.just(1)
    )
)
_HEADERS: Final[st.SearchStrategy[dict[str, HeaderValue]]] = st.dictionaries(
    st.text(min_size=1, max_size=60),
    st.text(min_size=1, max_size=60)
    | st.binary(min_size=1, max_size=255)
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    max_size=4,
)


@given(_PAYLOADS, st.integers(1, 2**128 - 1), _HEADERS)
@example(json.dumps(user_event(), indent=1).encode(), 7, {})
@example(b"null", 2**128 - 1, {"n": 2**64 - 1})
def test_a_message_that_was_read_as_a_line_is_sent_as_a_line(
    payload: bytes, id_: int, headers: dict[str, HeaderValue]
) -> None:
    records = Records.of([Message(3, 5, id_, payload, headers)])
    line = PageEncoder().lines(records, lead=b'{"partition_id":2,')[0].translate(_ONE_LINE)
    bound = whole_line_bytes_max(len(payload))
    if form_of(payload) is not Form.TEXT:
        assert len(line) <= bound
    values = result_of(line_steps(Run(1, 2, line + b"\n"), line_bytes_max=max(bound, len(line))))
    found = result_of(whole_steps(values, faults_told=1))
    assert found.faults == []
    (sent,) = found.messages
    # Line feeds between the tokens of JSON are blanks of another kind.
    spelled = payload.translate(_ONE_LINE) if form_of(payload) in {Form.JSON, Form.EVENT} else payload
    assert (sent.payload, sent.id, dict(sent.headers)) == (spelled, id_, headers)
    assert [type(each) for each in sent.headers.values()] == [type(each) for each in headers.values()]


def test_the_room_beside_a_payload_holds_the_largest_headers_there_can_be() -> None:
    headers: dict[str, HeaderValue] = {f"{n:03}" + "\x01" * 252: "\x01" * 255 for n in range(192)}
    (line,) = PageEncoder().lines(Records.of([Message(2**63 - 1, 2**52, 2**128 - 1, b"\xff", headers)]))
    assert len(line) < NDJSON_WHOLE_LINE_SPARE_BYTES


def test_a_header_that_is_there_twice_is_a_fault_of_its_line() -> None:
    line = b'{"text":"a","headers":{"a":"x","b":"y","a":"z"}}'
    found = result_of(whole_steps(Lines([line], [7], [], 0), faults_told=1))
    assert (found.messages, found.failed) == ([], 1)
    (fault,) = found.faults
    assert fault.line == 7
    assert "$.headers" in fault.reason


def test_headers_that_are_none_are_a_fault_of_their_line() -> None:
    for headers in (b"1", b'"a"', b'{"a":null}', b'{"a":[1]}'):
        line = b'{"text":"a","headers":%b}' % headers
        found = result_of(whole_steps(Lines([line], [1], [], 0), faults_told=1))
        assert found.failed == 1
        assert "$.headers" in found.faults[0].reason
