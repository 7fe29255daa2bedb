"""Headers of a line that only one of the two logs takes."""

import math

from bridge.events import result_of
from bridge.web.bodies.ndjson import Lines
from bridge.web.bodies.whole_messages import whole_steps


def test_a_number_that_json_does_not_have_is_read_as_it_was_written() -> None:
    line = b'{"text":"a","headers":{"n":{"number":"NaN"},"i":{"number":"-inf"}}}'
    found = result_of(whole_steps(Lines([line], [1], [], 0), faults_told=1))
    headers = found.messages[0].headers
    assert math.isnan(float(headers["n"]))
    assert headers["i"] == -math.inf
