"""Claims about the work that the bench gives (pure): it is valid, the same for all, and bounded."""

import base64
import itertools
import json

import pytest

from bridge.config import Config
from bridge.messagelog import Balanced, ByKey, partition_of_key
from bridge.web.wire.submissions import read_batch, read_message
from tests.bench.cases import BARE, CASES, IGGY, SDK, Case, Dialect, Kind, base_of, case_named
from tests.bench.client import request_bytes, requests
from tests.bench.fanout_sender import EVENT_BYTES, event_of
from tests.bench.load import MESSAGES_MAX, REQUESTS_MAX, command_of, requests_max
from tests.bench.requests import FILLED, OFFSET, PARTITIONS, connections_of, event_json, filling, request_of
from tests.bench.run import ROUNDS_S_MAX, another_round
from tests.bench.straight import batches
from tests.bench.targets import Target

LIMITS = Config().http
SENT = [case for case in CASES if case.kind is Kind.SEND]
MOVING = case_named("get-any")


def titled(case: Case) -> str:
    return case.key


@pytest.mark.parametrize("case", SENT, ids=titled)
def test_every_body_is_one_that_the_bridge_takes_with_its_defaults(case: Case) -> None:
    body = request_of(case, Dialect.BRIDGE).body
    assert len(body) <= LIMITS.request_body_bytes_max
    if case.messages == 1:
        submission = read_message(body)
    else:
        submission = read_batch(body, messages_max=LIMITS.batch_messages_max)
    assert len({message.id for message in submission.messages}) == case.messages
    assert isinstance(submission.placement, Balanced)


def test_the_filling_lands_in_the_partition_that_is_read() -> None:
    submission = read_batch(filling().body, messages_max=LIMITS.batch_messages_max)
    assert isinstance(submission.placement, ByKey)
    assert partition_of_key(submission.placement.key, PARTITIONS) == 0
    assert FILLED % len(submission.messages) == 0


@pytest.mark.parametrize("case", SENT, ids=titled)
def test_iggys_own_api_gets_the_same_payloads(case: Case) -> None:
    request = request_of(case, Dialect.IGGY_HTTP, topic="replicated")
    assert request.path == "/streams/bench/topics/replicated/messages"
    sent = [base64.b64decode(message["payload"]) for message in json.loads(request.body)["messages"]]
    assert sent == [event_json(number) for number in range(case.messages)]


def test_iggys_own_api_is_never_asked_over_more_connections_than_it_takes_writes() -> None:
    assert all(connections_of(case, Dialect.IGGY_HTTP) < 32 for case in CASES)
    assert [connections_of(case, Dialect.BRIDGE) for case in CASES] == [case.connections for case in CASES]


def test_lines_in_bulk_are_whole_json_values() -> None:
    case = case_named("ndjson-in")
    lines = request_of(case, Dialect.BRIDGE).body.splitlines()
    assert len(lines) == case.messages
    assert json.loads(lines[-1])["payload"]["data"]["order"] == 1000 + case.messages - 1


def test_moving_offsets_ask_for_another_page_each_time_and_never_past_the_filling() -> None:
    path = request_of(MOVING, Dialect.BRIDGE).path
    made = requests(request_bytes("GET", path, 8000, b"", []))
    offsets = [int(one.partition(b"offset=")[2].partition(b"&")[0]) for one in itertools.islice(made, 10_000)]
    assert len(set(offsets)) == len(offsets)
    assert max(offsets) <= FILLED - MOVING.messages
    assert OFFSET not in request_of(case_named("get-same"), Dialect.BRIDGE).path


def test_a_request_of_our_own_client_says_how_long_its_body_is() -> None:
    head, body = request_bytes("POST", "/messages", 8000, b"{}", ["X-API-Key: k"]).split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /messages HTTP/1.1",
        b"Host: 127.0.0.1:8000",
        b"X-API-Key: k",
        b"Content-Type: application/json",
        b"Content-Length: 2",
    ]
    assert body == b"{}"


@pytest.mark.parametrize("case", CASES, ids=titled)
def test_a_measurement_is_bounded_in_requests_and_messages(case: Case) -> None:
    assert 1 <= requests_max(case) <= REQUESTS_MAX
    assert requests_max(case) * case.messages <= MESSAGES_MAX


@pytest.mark.parametrize(
    "dialect,address,case,program",
    [
        (Dialect.SDK, "127.0.0.1:1", "post-1", "tests.bench.straight"),
        (Dialect.BRIDGE, "", "ndjson-in", "tests.bench.bulk"),
        (Dialect.BRIDGE, "", "ndjson-out", "tests.bench.bulk"),
        (Dialect.BRIDGE, "", "fanout", "tests.bench.fanout"),
    ],
)
def test_what_wrk_cannot_do_is_done_by_a_program_of_ours(
    dialect: Dialect, address: str, case: str, program: str
) -> None:
    target = Target("it", dialect, 1, (), {"X-API-Key": "k"}, "replicated", address)
    command = command_of(case_named(case), target, request_of(case_named(case), dialect), 1.0)
    assert program in command
    assert ("X-API-Key: k" in command) == (not address)


@pytest.mark.parametrize(
    "done,wanted,took_s,more",
    [
        (0, 1, 0.0, True),
        (1, 1, 1.0, False),
        (2, 5, ROUNDS_S_MAX * 2 / 3, True),
        (2, 5, ROUNDS_S_MAX * 2 / 3 + 1, False),
    ],
)
def test_a_round_is_begun_only_if_it_can_end_in_time(
    done: int, wanted: int, took_s: float, more: bool
) -> None:
    assert another_round(done, wanted, took_s) is more


@pytest.mark.parametrize("count,expected", [(1, [1]), (1000, [1000]), (2500, [1000, 1000, 500])])
def test_the_sdk_gets_batches_of_a_thousand(count: int, expected: list[int]) -> None:
    assert batches(count) == expected


def test_bulk_is_held_against_the_sdk_at_the_same_durability() -> None:
    bulk = case_named("ndjson-in")
    assert base_of(bulk, IGGY["replicated"]) == SDK["replicated"]
    assert base_of(bulk, IGGY["persisted"]) == SDK["persisted"]
    assert {base_of(case, IGGY["persisted"]) for case in SENT} == {BARE}
    assert all(base_of(case, target) in case.targets for case in CASES for target in case.targets)


def test_events_of_the_fan_out_have_one_size_and_are_taken_by_the_bridge() -> None:
    assert {len(event_of(number)) for number in (0, 1, 99_999)} == {EVENT_BYTES}
    assert read_message(b'{"event":%b}' % event_of(0)).messages
