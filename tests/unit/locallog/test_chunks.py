from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge import limits
from bridge.locallog import chunks
from bridge.locallog.schema import chunk_key
from bridge.messagelog import HeaderValue, NewEvent, NewMessage, NewRecords, check_append

HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.one_of(
        st.text(min_size=1, max_size=5),
        st.binary(min_size=1, max_size=5),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
    ),
    max_size=3,
)
MESSAGES = st.lists(
    st.builds(
        NewMessage,
        payload=st.binary(min_size=1, max_size=50),
        id=st.integers(1, limits.MESSAGE_ID_MAX),
        headers=HEADERS,
    ),
    min_size=1,
    max_size=20,
)


def as_version_1(chunk: chunks.Chunk, messages: list[NewMessage]) -> chunks.Chunk:
    """The same as a log of version 1 has it: a record for each message."""
    records = [(m.id.to_bytes(16, "big"), m.payload, dict(m.headers)) for m in messages]
    old = chunk._replace(body=msgspec.msgpack.encode(records))
    return old._replace(
        checksum=chunks._checksum(old.key, old.messages_count, old.timestamp_us, old.bytes_end, old.body)
    )


@given(MESSAGES, st.integers(0, 2**40 - 100), st.booleans())
@example([NewMessage(b"x", 1)] * 4, 0, True)
@example([NewMessage(b"x", 1)] * 16, 0, True)
def test_a_chunk_gives_back_what_was_put_in(messages: list[NewMessage], offset: int, old: bool) -> None:
    chunk = chunks.encode(
        chunk_key(7, offset), NewRecords.of(messages), timestamp_us=5, bytes_start=100, into=bytearray()
    )
    assert chunk.bytes_end == 100 + len(chunk.body)
    found = chunks.decode(as_version_1(chunk, messages) if old else chunk)
    assert [(m.offset, m.timestamp_us, m.id, m.payload, m.headers) for m in found] == [
        (at, 5, m.id, m.payload, m.headers) for at, m in enumerate(messages, offset)
    ]
    assert [[type(v) for v in m.headers.values()] for m in found] == [
        [type(v) for v in m.headers.values()] for m in messages
    ]


@given(st.lists(st.tuples(st.integers(1, 60), HEADERS), min_size=1, max_size=3))
@example([(limits.LOCAL_CHUNK_MESSAGES_MAX, {"k": "v"})])
@example([(100, {}), (28, {"k": 1})])
def test_a_chunk_gives_back_headers_that_came_in_runs(runs: list[tuple[int, dict[str, HeaderValue]]]) -> None:
    records = NewRecords.joined([NewRecords.unnamed([b"x"] * count, headers) for count, headers in runs])
    for run in chunks.split(records, size_bytes=check_append(records)):
        found = chunks.decode(
            chunks.encode(chunk_key(7, 0), run, timestamp_us=5, bytes_start=0, into=bytearray())
        )
        assert list(found.headers.items()) == [(index, dict(each)) for index, each in run.headers.items()]
        assert [[type(v) for v in m.headers.values()] for m in found] == [
            [type(v) for v in m.headers.values()] for m in run
        ]


def test_only_a_chunk_of_nothing_but_checked_events_says_so() -> None:
    event, message = NewEvent(b"checked", 1), NewMessage(b"anything", 2)
    for messages, marked in (
        ([event], True),
        ([event, event], True),
        ([message], False),
        ([event, message], False),
    ):
        chunk = chunks.encode(
            chunk_key(1, 0), NewRecords.of(messages), timestamp_us=1, bytes_start=0, into=bytearray()
        )
        assert chunks.decode(chunk).events is marked
        assert chunks.decode(as_version_1(chunk, list(messages))).events is False


def test_what_another_version_of_the_rules_took_is_no_event_for_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = NewRecords.of([NewEvent(b"checked", 1)])
    chunk = chunks.encode(chunk_key(1, 0), records, timestamp_us=1, bytes_start=0, into=bytearray())
    monkeypatch.setattr(chunks, "_EVENTS", chunks._EVENTS + 1)
    assert chunks.decode(chunk).events is False


@given(st.data())
def test_a_single_bit_flipped_anywhere_is_noticed(data: st.DataObject) -> None:
    records = NewRecords.of([NewMessage(payload=b"payload")] * 3)
    chunk = chunks.encode(chunk_key(1, 2), records, timestamp_us=9, bytes_start=4, into=bytearray())
    bit = data.draw(st.integers(0, len(chunk.body) * 8 - 1))
    body = bytearray(chunk.body)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(chunks.DamagedChunk):
        chunks.decode(chunk._replace(body=bytes(body)))


@pytest.mark.parametrize("field", ["key", "messages_count", "timestamp_us", "bytes_end", "checksum"])
def test_a_changed_column_is_noticed(field: str) -> None:
    records = NewRecords.of([NewMessage(payload=b"x")])
    chunk = chunks.encode(chunk_key(1, 2), records, timestamp_us=9, bytes_start=4, into=bytearray())
    with pytest.raises(chunks.DamagedChunk):
        chunks.decode(chunk._replace(**{field: getattr(chunk, field) ^ 1}))


@given(st.lists(st.sampled_from([1, 100, 20_000, 70_000]), min_size=1, max_size=400))
def test_runs_keep_all_messages_in_order_and_within_their_bounds(sizes: list[int]) -> None:
    messages = [NewMessage(payload=bytes(size), id=index) for index, size in enumerate(sizes, 1)]
    records = NewRecords.of(messages)
    runs = list(chunks.split(records, size_bytes=check_append(records)))
    assert [message for run in runs for message in run] == messages
    for run in runs:
        assert 1 <= len(run) <= limits.LOCAL_CHUNK_MESSAGES_MAX
        assert len(run) == 1 or run.payload_bytes <= limits.LOCAL_CHUNK_BYTES_MAX
    for run, after in pairwise(runs):
        # None ends before it has to.
        assert (
            len(run) == limits.LOCAL_CHUNK_MESSAGES_MAX
            or run.payload_bytes + len(after.payloads[0]) > limits.LOCAL_CHUNK_BYTES_MAX
        )


def test_headers_count_towards_the_size_of_a_run() -> None:
    heavy = NewMessage(payload=b"x", headers={f"{number:03}": "v" * 255 for number in range(300)})
    records = NewRecords.of([heavy] * 3)
    assert [len(run) for run in chunks.split(records, size_bytes=check_append(records))] == [1, 1, 1]
    records = NewRecords.unnamed([b"x"] * 3, heavy.headers)
    assert [len(run) for run in chunks.split(records, size_bytes=check_append(records))] == [1, 1, 1]
