"""Stored offsets, groups and topic changes as bodies spell them: what is taken, what is refused, and where."""

from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import example, given

from bridge.errors import BadRequest, RequestError
from bridge.groups.partition import AckOutcome
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery, TokenResult
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    Message,
    PartitionInfo,
    Retention,
    StoredOffset,
)
from bridge.web.wire.groups import (
    ReceiveRequest,
    deliveries_json,
    messages_of,
    read_ack,
    read_receive,
    read_seek,
    token_results_json,
)
from bridge.web.wire.offsets import PartitionProgress, read_offset, read_offsets
from bridge.web.wire.pages import PageEncoder
from bridge.web.wire.topics import read_partitions, read_retention

READERS: list[Callable[[bytes], Any]] = [
    read_offset,
    read_offsets,
    read_receive,
    *(partial(read_ack, kind=kind) for kind in (AckKind.ACK, AckKind.NACK, AckKind.EXTEND)),
    read_seek,
    read_partitions,
    read_retention,
]
KEYS = st.sampled_from(
    ["offset", "offsets", "partition_id", "count", "wait_ms", "visibility_ms", "tokens", "delay_ms", "to", "dry_run",
     "retention", "max_bytes", "max_age_seconds", "é", ""]
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def spelled(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return str(value).replace("'", '"').encode()


@pytest.mark.parametrize("reader", READERS)
@given(body=st.binary(max_size=40) | JSON.map(spelled))
@example(body=b'{"to": {"offsets": [{"partition_id": 0, "offset": 1}]}, "dry_run": true}')
@example(body=b'{"t\\u006f": "first"}')
@example(body=b"[" * 10_000)
@example(body=b'{"count": 1e400}')
def test_a_body_is_understood_or_refused_as_the_callers_fault(
    reader: Callable[[bytes], Any], body: bytes
) -> None:
    fault: RequestError | None = None
    try:
        reader(body)
    except RequestError as error:
        fault = error
    assert fault is None or fault.detail
    assert fault is None or fault.path is None or fault.path.startswith("$")


@pytest.mark.parametrize(
    "kept, end, stored, lag",
    [
        (10, 10, None, 10),
        (0, 0, None, 0),
        (10, 10, (9, 10), 0),
        (10, 10, (0, 10), 9),
        # Retention took what came after the stored offset.
        (3, 100, (10, 100), 3),
        (0, 100, (10, 100), 0),
        # More came between the two looks.
        (10, 10, (5, 20), 14),
        (3, 100, (10, 102), 5),
        # An offset ahead of the log, which lost some.
        (4, 4, (8, 4), 0),
    ],
)
def test_the_lag_counts_what_is_kept_after_the_offset(
    kept: int, end: int, stored: tuple[int, int] | None, lag: int
) -> None:
    partition = PartitionInfo(id=3, end_offset=end, size_bytes=1, messages_count=kept)
    found = PartitionProgress.of(partition, None if stored is None else StoredOffset(*stored))
    assert (found.partition_id, found.lag) == (3, lag)


@pytest.mark.parametrize(
    "to, place",
    [
        ('"first"', First()),
        ('"last"', Last()),
        ('"1970-01-01T00:00:01.5+00:00"', FromTimestamp(1_500_000)),
        ('"1969-01-01T00:00:00Z"', FromTimestamp(0)),
        ('{"offsets": [{"offset": 7, "partition_id": 2}]}', {2: FromOffset(7)}),
    ],
)
@pytest.mark.parametrize("dry_run", [None, False, True])
def test_a_group_is_sent_where_the_body_says(to: str, place: Any, dry_run: bool | None) -> None:
    extra = "" if dry_run is None else f', "dry_run": {str(dry_run).lower()}'
    order = read_seek(f'{{"to": {to}{extra}}}'.encode())
    assert (order.to, order.dry_run) == (place, bool(dry_run))


def test_nothing_as_a_body_of_a_receive_takes_the_defaults() -> None:
    assert read_receive(b"") == read_receive(b"{}") == ReceiveRequest(None, 0, None, None)
    assert [read_receive(b"").messages_max(each) for each in (100, 5)] == [10, 5]


@pytest.mark.parametrize("count_max, limit", [(5, 5), (100, 100), (10_000, 1_000)])
def test_who_asks_for_more_messages_than_there_are_at_once_is_told_the_limit(
    count_max: int, limit: int
) -> None:
    assert read_receive(b'{"count":%d}' % limit).messages_max(count_max) == limit
    for count in (limit + 1, 2**63, 10**30):
        with pytest.raises(BadRequest) as fault:
            read_receive(b'{"count":%d}' % count).messages_max(count_max)
        assert (fault.value.path, fault.value.limit) == ("$.count", limit)


def test_retention_that_is_left_out_or_null_is_never() -> None:
    assert read_retention(b'{"retention": {}}') == Retention()
    assert read_retention(b'{"retention": {"max_age_seconds": null, "max_bytes": 5}}') == Retention(
        size_bytes=5
    )


@given(
    payload=st.binary(min_size=1, max_size=30),
    offset=st.integers(0, 2**63 - 1),
    headers=st.dictionaries(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5), max_size=2),
)
def test_a_delivery_is_json_whatever_its_message_is(
    payload: bytes, offset: int, headers: dict[str, str]
) -> None:
    message = Message(offset, 1_700_000_000_000_000, 5, payload, headers)
    deliveries = [Delivery("t-_", 2, message, 3, 0)] * 2
    shown = orjson.loads(deliveries_json(deliveries, messages_of(deliveries), PageEncoder()))
    assert shown["count"] == 2
    for each in shown["messages"]:
        assert (each["partition_id"], each["token"], each["delivery_count"], each["offset"]) == (
            2,
            "t-_",
            3,
            offset,
        )
        assert each["lease_expires_at"] == "1970-01-01T00:00:00.000000Z"


def test_the_outcome_of_each_token_is_told_and_those_done_are_counted() -> None:
    settled = [
        TokenResult("a", AckOutcome.DONE, 1_000_000),
        TokenResult("b", AckOutcome.EXPIRED, None),
        TokenResult("c", AckOutcome.DONE, None),
    ]
    assert orjson.loads(token_results_json(settled)) == {
        "results": [
            {"token": "a", "outcome": "done", "lease_expires_at": "1970-01-01T00:00:01.000000Z"},
            {"token": "b", "outcome": "expired"},
            {"token": "c", "outcome": "done"},
        ],
        "done": 2,
    }
