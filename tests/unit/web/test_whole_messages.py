"""Headers of a line that no log takes."""

from bridge.events import result_of
from bridge.web.bodies.ndjson import Lines
from bridge.web.bodies.whole_messages import whole_steps


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
