"""Claims about the bench itself (pure): what it sends is valid, and its arithmetic is right."""

import json

import pytest

from bridge.config import Config
from bridge.web.wire import read_batch, read_message
from tests.bench.cases import CASES, FILLING, Case
from tests.bench.client import request_bytes
from tests.bench.load import Figure, percentile_us
from tests.bench.run import rows, table
from tests.bench.targets import BARE

LIMITS = Config().http


@pytest.mark.parametrize(
    "case", [FILLING, *(case for case in CASES if case.body)], ids=lambda case: case.name
)
def test_every_body_is_one_that_the_bridge_takes_with_its_defaults(case: Case) -> None:
    assert len(case.body) <= LIMITS.request_body_bytes_max
    if case.path.endswith("/batch"):
        submission = read_batch(case.body, messages_max=LIMITS.batch_messages_max)
    else:
        submission = read_message(case.body)
    assert len({message.id for message in submission.messages}) == case.messages


def test_a_request_of_our_own_client_says_how_long_its_body_is() -> None:
    head, body = request_bytes("POST", "/messages", 8000, b"{}").split(b"\r\n\r\n")
    assert head.startswith(b"POST /messages HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 2" in head
    assert body == b"{}"


@pytest.mark.parametrize(
    "ordered,percent,expected", [([], 99, 0), ([7], 50, 7), (range(100), 99, 99), (range(100), 50, 50)]
)
def test_a_percentile_is_a_time_that_was_measured(ordered: list[int], percent: int, expected: int) -> None:
    assert percentile_us(ordered, percent) == expected


def test_a_figure_is_the_median_and_its_ratio_is_to_the_bare_handler() -> None:
    case = CASES[2].name
    bare = [Figure(rate, 1000, 2000, 0, 0) for rate in (100.0, 200.0, 300.0)]
    bridge = [Figure(rate, 3000, 4000, 0, 0) for rate in (40.0, 50.0, 70.0)]
    measured = rows({(case, BARE): bare, (case, "embedded log"): bridge})
    assert measured[1] == {
        "case": case,
        "target": "embedded log",
        "requests_per_s": 50.0,
        "messages_per_s": 5000.0,
        "ratio_to_bare": 0.25,
        "spread_percent": 60.0,
        "p50_ms": 3.0,
        "p99_ms": 4.0,
    }
    assert json.loads(json.dumps(measured)) == measured
    assert len(table(measured).splitlines()) == 4
