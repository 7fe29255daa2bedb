from typing import Any

import pytest

from bridge.errors import BadRequest
from bridge.limits import OFFSET_MAX
from bridge.messagelog import First, FromOffset, FromTimestamp, Last, Next
from bridge.web.wire.queries import BulkQuery, PollQuery, read_bulk_query, read_poll_query, unique_parameters


def _read(**given: str) -> PollQuery:
    return read_poll_query([(name.rstrip("_"), value) for name, value in given.items()], count_max=100)


def test_an_empty_query_asks_for_the_next_ten_of_partition_0_for_consumer_1() -> None:
    assert _read() == PollQuery(0, 1, Next(1), 10, commit=False)


@pytest.mark.parametrize(
    "given, changed",
    [
        ({"partition_id": "7"}, {"partition_id": 7}),
        ({"consumer_id": "1000000000"}, {"consumer": 10**9, "position": Next(10**9)}),
        ({"consumer": "billing.v1"}, {"consumer": "billing.v1", "position": Next("billing.v1")}),
        ({"offset": "0"}, {"position": FromOffset(0)}),
        ({"offset": str(OFFSET_MAX)}, {"position": FromOffset(OFFSET_MAX)}),
        ({"from_": "first"}, {"position": First()}),
        ({"from_": "last"}, {"position": Last()}),
        ({"from_": "next"}, {}),
        ({"from_": "1970-01-01T00:00:01.5Z"}, {"position": FromTimestamp(1_500_000)}),
        ({"from_": "1970-01-01T01:00:00+01:00"}, {"position": FromTimestamp(0)}),
        ({"from_": "1969-01-01T00:00:00Z"}, {"position": FromTimestamp(0)}),
        ({"count": "1"}, {"messages_max": 1}),
        ({"count": "100"}, {"messages_max": 100}),
        ({"count": "101"}, {"messages_max": 100}),
        ({"count": "1000000000"}, {"messages_max": 100}),
        ({"auto_commit": "true"}, {"commit": True}),
        ({"api_key": "anything"}, {}),
    ],
)
def test_each_parameter_changes_what_it_names(given: dict[str, str], changed: dict[str, Any]) -> None:
    assert _read(**given) == _read()._replace(**changed)


@pytest.mark.parametrize(
    "given, path",
    [
        ({"count": "0"}, "count"),
        ({"count": ""}, "count"),
        ({"count": "-1"}, "count"),
        ({"consumer_id": "0"}, "consumer_id"),
        ({"consumer_id": "1000000001"}, "consumer_id"),
        ({"partition_id": "-1"}, "partition_id"),
        ({"partition_id": "1.0"}, "partition_id"),
        ({"partition_id": str(2**32)}, "partition_id"),
        ({"offset": str(OFFSET_MAX + 1)}, "offset"),
        ({"offset": "latest"}, "offset"),
        ({"offset": "1", "from_": "first"}, "from"),
        ({"from_": "FIRST"}, "from"),
        ({"from_": "2026-01-01T00:00:00"}, "from"),
        ({"from_": "2026-01-01T00:00:00 01:00"}, "from"),
        ({"from_": "1700000000"}, "from"),
        ({"from_": "0001-01-01T00:00:00+23:00"}, None),
        ({"consumer": "a b"}, "consumer"),
        ({"consumer": "7"}, "consumer"),
        ({"consumer": "a", "consumer_id": "1"}, "consumer"),
        ({"auto_commit": "yes"}, "auto_commit"),
        ({"wait_ms": "-1"}, "wait_ms"),
        ({"partition": "1"}, "partition"),
    ],
)
def test_a_fault_names_the_parameter(given: dict[str, str], path: str | None) -> None:
    if path is None:
        assert _read(**given).position == FromTimestamp(0)
        return
    with pytest.raises(BadRequest) as fault:
        _read(**given)
    assert fault.value.path == path
    assert path in fault.value.detail


def test_a_parameter_is_there_once() -> None:
    with pytest.raises(BadRequest, match="'count' is there twice"):
        read_poll_query([("count", "1"), ("count", "1")], count_max=10)


def test_an_unknown_parameter_is_shown_only_where_it_is_harmless() -> None:
    with pytest.raises(BadRequest) as fault:
        read_poll_query([("<script>", "1")], count_max=10)
    assert "script" not in fault.value.detail
    assert fault.value.path is None


def test_other_routes_take_the_key_and_nothing_else() -> None:
    unique_parameters([("api_key", "k")], frozenset())
    with pytest.raises(BadRequest, match="'partitions'"):
        unique_parameters([("partitions", "3")], frozenset())


def _bulk(**given: str) -> BulkQuery:
    return read_bulk_query([(name.rstrip("_"), value) for name, value in given.items()])


def test_an_empty_query_asks_for_all_that_is_next() -> None:
    assert _bulk() == BulkQuery(0, Next(1), None, 0)


@pytest.mark.parametrize(
    "given, changed",
    [
        ({"partition_id": "7"}, {"partition_id": 7}),
        ({"consumer": "c"}, {"position": Next("c")}),
        ({"offset": "3", "until": "9"}, {"position": FromOffset(3), "until": FromOffset(9)}),
        ({"until": "1970-01-01T00:00:01Z"}, {"until": FromTimestamp(1_000_000)}),
        ({"count": "1000000000"}, {"messages_max": 10**9}),
        ({"from_": "last", "count": "5"}, {"position": Last(), "messages_max": 5}),
        ({"auto_commit": "false"}, {}),
    ],
)
def test_each_parameter_of_a_stream_changes_what_it_names(
    given: dict[str, str], changed: dict[str, Any]
) -> None:
    asked = _bulk(**given)
    assert asked == _bulk()._replace(**changed)
    # Positions are tuples: an offset and a time of the same number are equal.
    assert type(asked.until) is type(changed.get("until"))


@pytest.mark.parametrize(
    "given, path",
    [
        ({"auto_commit": "true"}, "auto_commit"),
        ({"auto_commit": "maybe"}, "auto_commit"),
        ({"from_": "last"}, "count"),
        ({"count": "0"}, "count"),
        ({"until": ""}, "until"),
        ({"until": "-1"}, "until"),
        ({"until": str(OFFSET_MAX + 1)}, "until"),
        ({"until": "\u0663"}, "until"),
        ({"until": "1970-01-01T00:00:01"}, "until"),
        ({"wait_ms": "1"}, "wait_ms"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_by_name(given: dict[str, str], path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        _bulk(**given)
    assert caught.value.path == path
