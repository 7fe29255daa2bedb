import pytest

from bridge.errors import BadRequest
from bridge.messagelog import First, FromTimestamp, Last
from bridge.web.wire.live import LiveQuery, LiveStart, read_live_query


def _read(*pairs: tuple[str, str], ids: tuple[str, ...] = ()) -> LiveQuery:
    return read_live_query(pairs, ids)


@pytest.mark.parametrize(
    "pairs, ids, start",
    [
        ((), (), Last()),
        ((("from", "last"),), (), Last()),
        ((("cursor", "last"),), (), Last()),
        ((("from", "first"),), (), First()),
        ((("cursor", "first"),), (), First()),
        ((("cursor", "AbC-_1"),), (), "AbC-_1"),
        ((("from", "1970-01-01T00:00:01Z"),), (), FromTimestamp(1_000_000)),
        # A browser that was told no id sends none; one that was told an empty one sends nothing either.
        ((("from", "first"),), ("",), First()),
        ((("from", "first"), ("lastEventId", ""), ("last_event_id", "")), (), First()),
        ((("padding", "true"),), (), Last()),
    ],
)
def test_a_stream_of_a_reader_that_has_seen_nothing_begins_where_it_says(
    pairs: tuple[tuple[str, str], ...], ids: tuple[str, ...], start: LiveStart
) -> None:
    assert _read(*pairs, ids=ids)[1:3] == (start, ())


@pytest.mark.parametrize(
    "pairs, ids, last_seen",
    [
        ((), ("AbC",), (("AbC", "Last-Event-ID"),)),
        ((("cursor", "old"),), ("AbC",), (("AbC", "Last-Event-ID"),)),
        ((("lastEventId", "AbC"), ("from", "first")), (), (("AbC", "lastEventId"),)),
        ((("last_event_id", "AbC"),), ("",), (("AbC", "last_event_id"),)),
        # Some write theirs behind the one that is there.
        ((("lastEventId", "a"), ("lastEventId", "b")), (), (("a", "lastEventId"), ("b", "lastEventId"))),
        ((("lastEventId", "a"),), ("b",), (("b", "Last-Event-ID"), ("a", "lastEventId"))),
        # Words are no ids: only a token is.
        ((), ("last",), (("last", "Last-Event-ID"),)),
    ],
)
def test_where_a_reader_has_been_is_said_by_the_header_or_in_the_query(
    pairs: tuple[tuple[str, str], ...], ids: tuple[str, ...], last_seen: tuple[tuple[str, str], ...]
) -> None:
    assert _read(*pairs, ids=ids).last_seen == last_seen


def test_a_filter_is_a_list_or_said_again_and_the_key_is_no_part_of_it() -> None:
    query = _read(("event_type", "a,b"), ("api_key", "k"), ("event_type", "c"), ("partitions", "3,1,3"))
    assert query.event_types == {"a", "b", "c"}
    assert query.partitions == (1, 3)
    assert _read() == LiveQuery(None, Last(), (), frozenset())


@pytest.mark.parametrize(
    "pairs, ids, path",
    [
        ((("cursor", "a"), ("from", "first")), (), "from"),
        ((("cursor", "a"), ("cursor", "a")), (), "cursor"),
        ((("from", "yesterday"),), (), "from"),
        ((("from", "yesterday"),), ("AbC",), "from"),
        ((("partitions", "1,,2"),), (), "partitions"),
        ((("partitions", ",".join(["1"] * 1001)),), (), "partitions"),
        ((("event_type", ""),), (), "event_type"),
        ((("event_type", "x" * 257),), (), "event_type"),
        ((("event_type", ",".join("x" * 65)),), (), "event_type"),
        ((("count", "1"),), (), "count"),
        ((), ("a", "b"), "Last-Event-ID"),
    ],
)
def test_what_contradicts_itself_or_is_no_value_is_refused_by_name(
    pairs: tuple[tuple[str, str], ...], ids: tuple[str, ...], path: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        _read(*pairs, ids=ids)
    assert refused.value.path == path
