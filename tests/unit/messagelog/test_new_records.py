from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from bridge.messagelog import (
    NewEvent,
    NewMessage,
    NewRecords,
)
from bridge.messagelog.bounds import ends_of_headers, headers_bytes

_FIELDS = {
    "payload": st.binary(min_size=1, max_size=20),
    "id": st.integers(1, 2**128 - 1),
    "headers": st.dictionaries(st.text("kh", min_size=1), st.integers(0, 9), max_size=2),
}
MESSAGES = st.lists(st.builds(NewMessage, **_FIELDS), min_size=1, max_size=9)
EVENTS = st.lists(st.builds(NewEvent, **_FIELDS), min_size=1, max_size=9)


@given(MESSAGES | EVENTS)
def test_columns_give_back_the_messages_they_were_made_of(messages: list[NewMessage]) -> None:
    records = NewRecords.of(messages)
    assert NewRecords.of(records) is records
    assert list(records) == messages
    assert set(map(type, records)) == set(map(type, messages))
    assert [records[index] for index in range(-len(messages), len(messages))] == [*messages, *messages]
    assert records[1:3] == tuple(messages[1:3])
    assert len(records) == len(messages)
    assert records.payload_bytes == sum(len(message.payload) for message in messages)
    assert records.payloads == [message.payload for message in messages]


@given(MESSAGES)
def test_to_know_where_each_payload_ends_is_to_know_the_bytes_of_all(messages: list[NewMessage]) -> None:
    records = NewRecords.of(messages)
    assert list(records.ends) == list(accumulate(len(message.payload) for message in messages))
    assert records.payload_bytes == NewRecords.of(messages).payload_bytes
    nothing = NewRecords([], b"")
    assert (list(nothing.ends), nothing.payload_bytes) == ([], 0)


@given(MESSAGES | EVENTS, MESSAGES | EVENTS, MESSAGES | EVENTS)
def test_runs_in_a_row_are_one_after_the_other(
    one: list[NewMessage], two: list[NewMessage], three: list[NewMessage]
) -> None:
    expected = [*one, *two, *three]
    columns = [NewRecords.of(run) for run in (one, two, three)]
    joined = NewRecords.joined(columns)
    assert list(map(astuple, joined)) == list(map(astuple, expected))
    assert joined.events == all(type(message) is NewEvent for message in expected)
    assert NewRecords.joined(columns[:1]) is columns[0]


@given(MESSAGES, st.integers(0, 9), st.integers(0, 12))
def test_a_part_is_what_a_slice_is(messages: list[NewMessage], start: int, stop: int) -> None:
    records = NewRecords.of(messages)
    assert list(records.part(start, stop)) == messages[start:stop]
    assert records.part(0, len(messages)) is records


def test_a_message_without_an_id_gets_one_and_keeps_it() -> None:
    records = NewRecords.of([NewMessage(b"a"), NewMessage(b"b"), NewMessage(b"c", 7)])
    ids = [message.id for message in records]
    assert len({*ids, 0}) == 4
    assert ids[2] == 7
    assert [message.id for message in records] == ids


def test_unnamed_messages_have_ids_of_their_own_and_the_headers_of_all() -> None:
    records = NewRecords.unnamed([b"a", b"b"], {"k": "v"})
    assert [(message.payload, dict(message.headers)) for message in records] == [
        (b"a", {"k": "v"}),
        (b"b", {"k": "v"}),
    ]
    assert len({message.id for message in records} | {0}) == 3
    assert not NewRecords.unnamed([b"a"], {}).headers


def test_what_is_printed_tells_nothing_of_the_payloads() -> None:
    assert repr(NewRecords.of([NewMessage(b"secret", 1)])) == "<1 new records>"


_HEADERS = st.dictionaries(st.text("kh", min_size=1), st.integers(0, 9), max_size=1)
_RUNS = st.lists(st.tuples(st.integers(1, 4), _HEADERS), min_size=1, max_size=4)


def _as_messages(runs: list[tuple[int, dict[str, int]]]) -> list[NewMessage]:
    return [NewMessage(b"x", 1, headers) for count, headers in runs for _ in range(count)]


def _unnamed(runs: list[tuple[int, dict[str, int]]]) -> NewRecords:
    return NewRecords.joined([NewRecords.unnamed([b"x"] * count, headers) for count, headers in runs])


@given(_RUNS, st.integers(0, 16), st.integers(0, 16))
def test_headers_kept_once_for_a_run_are_those_of_each_of_its_messages(
    runs: list[tuple[int, dict[str, int]]], start: int, stop: int
) -> None:
    records, messages = _unnamed(runs), _as_messages(runs)
    assert [dict(each.headers) for each in records] == [each.headers for each in messages]
    assert dict(records.headers) == NewRecords.of(messages).headers
    assert len(records.headers) == len(dict(records.headers))
    part = records.part(start, stop)
    assert [dict(each.headers) for each in part] == [each.headers for each in messages[start:stop]]
    for index in (-1, len(messages)):
        assert index not in records.headers


@given(_RUNS, MESSAGES, _RUNS)
def test_headers_of_runs_are_joined_with_those_of_messages_that_have_their_own(
    before: list[tuple[int, dict[str, int]]],
    messages: list[NewMessage],
    after: list[tuple[int, dict[str, int]]],
) -> None:
    joined = NewRecords.joined([_unnamed(before), NewRecords.of(messages), _unnamed(after)])
    expected = [*_as_messages(before), *messages, *_as_messages(after)]
    assert [dict(each.headers) for each in joined] == [each.headers for each in expected]


@given(_RUNS)
def test_headers_weigh_the_same_in_runs_as_by_message(runs: list[tuple[int, dict[str, int]]]) -> None:
    weights = list(accumulate(headers_bytes(each.headers, None) for each in _as_messages(runs)))
    assert list(ends_of_headers(_unnamed(runs))) == weights
    assert list(ends_of_headers(NewRecords.of(_as_messages(runs)))) == weights
