"""Claims about the work that the bench gives (pure): what clients send, the same for all, and bounded."""

import base64
import json
import re
import statistics
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from bridge.config import Config
from bridge.messagelog import Balanced, ByKey, partition_of_key
from bridge.web.wire.submissions import Submission, read_message
from tests.bench.cases import (
    BARE,
    BEFORE,
    CASES,
    EMBEDDED,
    IGGY,
    SDK,
    Case,
    Dialect,
    Kind,
    base_of,
    case_named,
)
from tests.bench.load import MESSAGES_PER_S_MAX, REQUESTS_PER_S_MAX, command_of, requests_max
from tests.bench.requests import (
    FILLED,
    KEYS,
    OFFSETS,
    PARTITIONS,
    connections_of,
    events,
    fill,
    filling,
    lines,
    read_query,
    same_event,
    templates,
    zipf_key,
)
from tests.bench.run import another_round, place_of, rotated, seconds_within
from tests.bench.straight import batches
from tests.bench.targets import Target
from tests.support.submissions import read_batch

LIMITS = Config().http
SENT = [case for case in CASES if case.kind is Kind.SEND]
ONE = case_named("post-64")


def titled(case: Case) -> str:
    return case.key


def made(case: Case, dialect: Dialect = Dialect.BRIDGE) -> list[bytes]:
    return templates(case, dialect, "127.0.0.1:8000", {"X-API-Key": "k"}, "replicated")


def sent(count: int) -> list[bytes]:
    """As `load.lua` sends them."""
    pool = made(ONE)
    return [fill(pool[number % len(pool)], number) for number in range(count)]


def head_and_body(request: bytes) -> tuple[bytes, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head, body


def submission_of(case: Case, body: bytes) -> Submission:
    if case.messages == 1:
        return read_message(body)
    return read_batch(body, messages_max=LIMITS.batch_messages_max)


def share(requests: list[bytes], pattern: bytes) -> float:
    return sum(bool(re.search(pattern, one, re.IGNORECASE)) for one in requests) / len(requests)


def test_no_two_requests_of_ten_thousand_are_alike_and_no_two_events_have_one_id() -> None:
    requests = sent(10_000)
    assert len(set(requests)) == 10_000
    assert len({head_and_body(one)[1] for one in requests}) == 10_000
    identified = [one for one in requests if re.search(rb"x-request-id", one, re.IGNORECASE)]
    ids = [re.findall(rb"x-request-id: ([0-9a-f-]{36})\r", one, re.IGNORECASE) for one in identified]
    assert len({one for (one,) in ids}) == len(identified)


def test_requests_are_what_clients_send() -> None:
    requests = sent(4096)
    assert share(requests, rb"x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4") == pytest.approx(0.85, abs=0.03)
    assert share(requests, rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r") == pytest.approx(0.8, abs=0.03)
    assert share(requests, rb'"correlation_id": ?"') == pytest.approx(0.1, abs=0.02)
    assert share(requests, rb'\{"event": ') == pytest.approx(0.33, abs=0.03)
    assert share(requests, rb"user-agent: ") == 1
    assert len({head_and_body(one)[0].partition(b"traceparent")[0] for one in requests}) > 1000


def test_lengths_are_their_own_around_two_hundred_bytes_and_bounded() -> None:
    data = [json.dumps(json.loads(one)["payload"]["data"]) for one in lines(5000)]
    assert statistics.median(map(len, data)) == pytest.approx(200, abs=20)
    assert max(map(len, data)) < 5000
    assert len(set(map(len, data))) > 300


def test_a_few_customers_order_most() -> None:
    random = Random(1)
    counts = Counter(zipf_key(random) for _ in range(50_000))
    (_, first), (_, second) = counts.most_common(2)
    assert first / second == pytest.approx(2, rel=0.15)
    assert 3000 < len(counts) <= KEYS


def test_every_run_sends_the_same_templates() -> None:
    assert made(ONE) == made(ONE)


@pytest.mark.parametrize("case", SENT, ids=titled)
def test_every_request_is_one_that_the_bridge_takes_with_its_defaults(case: Case) -> None:
    for number, template in enumerate(made(case)[:200]):
        head, body = head_and_body(fill(template, number))
        assert b"x-api-key: k" in head.lower()
        (length,) = re.findall(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert int(length) == len(body) <= LIMITS.request_body_bytes_max
        submission = submission_of(case, body)
        assert len({message.id for message in submission.messages}) == case.messages
        assert isinstance(submission.placement, Balanced if case.same else ByKey)


def test_the_old_load_is_one_request_again_and_again() -> None:
    (template,) = made(case_named("post-64-same"))
    assert fill(template, 1) == fill(template, 2)
    assert head_and_body(template)[1] == b'{"event":' + same_event(0) + b"}"


def test_what_fills_a_partition_lands_in_it() -> None:
    for partition in range(PARTITIONS):
        submission = read_batch(filling(partition, 0), messages_max=LIMITS.batch_messages_max)
        assert isinstance(submission.placement, ByKey)
        assert partition_of_key(submission.placement.key, PARTITIONS) == partition
        assert FILLED % len(submission.messages) == 0


def test_no_two_messages_that_fill_a_log_are_alike() -> None:
    filled = lines(4 * FILLED)
    assert len(set(filled)) == 4 * FILLED
    assert filled[1000:2000] == lines(1000, first=1000)


@pytest.mark.parametrize("case", SENT, ids=titled)
def test_iggys_own_api_gets_payloads_and_keys_as_the_bridge_does(case: Case) -> None:
    template = made(case, Dialect.IGGY_HTTP)[0]
    assert template.startswith(b"POST /streams/bench/topics/replicated/messages HTTP/1.1\r\n")
    body = json.loads(head_and_body(template)[1])
    assert len(body["messages"]) == case.messages
    assert {"id", "event_type"} <= json.loads(base64.b64decode(body["messages"][0]["payload"])).keys()
    key = base64.b64decode(body["partitioning"]["value"])
    assert key.startswith(b"customer-") is not case.same


def test_iggys_own_api_is_never_asked_over_more_connections_than_it_takes_writes() -> None:
    assert all(connections_of(case, Dialect.IGGY_HTTP) < 32 for case in CASES)
    assert [connections_of(case, Dialect.BRIDGE) for case in CASES] == [case.connections for case in CASES]


def test_lines_in_bulk_are_whole_json_values_that_differ() -> None:
    values = lines(5000)
    assert len(set(values)) == len({json.loads(line)["id"] for line in values}) == 5000
    assert share(list(values), rb'^\{"id": ') == pytest.approx(0.33, abs=0.01)


def test_reads_from_anywhere_ask_for_whole_pages_of_every_partition() -> None:
    random = Random(1)
    asked = [read_query(case_named("get-any"), random) for _ in range(2000)]
    assert {partition for partition, _, _ in asked} == set(range(PARTITIONS))
    assert statistics.mean(count for _, _, count in asked) == pytest.approx(100, abs=1)
    assert OFFSETS + max(count for _, _, count in asked) <= FILLED
    path = fill(made(case_named("get-any"))[0], 1, 4711)
    assert b"&offset=4711&count=" in path
    assert case_named("ndjson-out").messages == 2 * FILLED
    assert all(b"partition_id=0&offset=0&count=100" in one for one in made(case_named("get-same")))


@pytest.mark.parametrize("case", CASES, ids=titled)
def test_a_measurement_is_bounded_in_requests_and_messages(case: Case) -> None:
    assert 1 <= requests_max(case, 2) <= 2 * REQUESTS_PER_S_MAX
    assert requests_max(case, 2) * case.messages <= 2 * MESSAGES_PER_S_MAX


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
    target = Target("it", dialect, 1, (), {"X-API-Key": "k"}, Path(), "replicated", address)
    command = command_of(case_named(case), target, 1.0)
    assert program in command
    assert ("X-API-Key: k" in command) == (not address)


@pytest.mark.parametrize(
    "done,wanted,took_s,more",
    [(0, 1, 0.0, True), (1, 1, 1.0, False), (2, 5, 200.0, True), (2, 5, 201.0, False)],
)
def test_a_round_is_begun_only_if_it_can_end_in_time(
    done: int, wanted: int, took_s: float, more: bool
) -> None:
    assert another_round(done, wanted, took_s, 300) is more


def test_measurements_are_as_long_as_the_time_allows_and_a_second_at_least() -> None:
    names = [BARE, EMBEDDED]
    # Two measurements a round, of 0.7 s besides their seconds, in a round of 15 s besides.
    assert seconds_within(10 * (15 + 2 * 5.7), 10, [ONE], names) == 5
    assert seconds_within(10 * (15 + 2 * 5.6), 10, [ONE], names) == 4
    assert seconds_within(1, 10, [ONE], names) == 1


def test_each_target_begins_a_round() -> None:
    targets = [Target(name, Dialect.BARE, 1, (), {}, Path()) for name in "abc"]
    orders = ["".join(one.name for one in rotated(targets, number)) for number in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]


def test_figures_of_a_tree_that_is_no_commit_are_not_kept() -> None:
    with pytest.raises(SystemExit, match=r"commit first.*M bridge/clock.py"):
        place_of(whole=True, changed=[" M bridge/clock.py"])
    assert place_of(whole=True, changed=[]).parent.name == "results"
    assert place_of(whole=False, changed=[" M bridge/clock.py"]).parts[-3:] == (
        "build",
        "bench",
        "latest.json",
    )


@pytest.mark.parametrize("count,expected", [(1, [1]), (1000, [1000]), (2500, [1000, 1000, 500])])
def test_the_sdk_gets_batches_of_a_thousand(count: int, expected: list[int]) -> None:
    assert batches(count) == expected


def test_bulk_is_held_against_the_sdk_at_the_same_durability() -> None:
    bulk = case_named("ndjson-in")
    assert base_of(bulk, IGGY["replicated"]) == SDK["replicated"]
    assert base_of(bulk, IGGY["persisted"] + BEFORE) == SDK["persisted"]
    assert {base_of(case, IGGY["persisted"]) for case in SENT} == {BARE}
    assert all(base_of(case, target) in case.targets for case in CASES for target in case.targets)


def test_a_bridge_of_another_checkout_is_measured_where_ours_is() -> None:
    assert all(case.has(target + BEFORE) for case in CASES for target in case.targets)
    assert not case_named("get-any").has(IGGY["persisted"] + BEFORE)


def test_events_have_no_byte_that_stands_for_a_hole_but_where_one_is() -> None:
    for blanks in (False, True):
        filled = b"".join(fill(one, 1) for one in events(blanks=blanks))
        assert not set(b"\x01\x02") & set(filled)
