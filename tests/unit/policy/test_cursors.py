"""Claims of the cursors."""

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.limits import (
    CURSOR_CHARS_MAX,
    CURSOR_PARTITIONS_MAX,
    HEADER_FIELD_BYTES_MAX,
    OFFSET_MAX,
    PARTITIONS_MAX,
)
from bridge.policy.cursors import Cursor, Cursors, Positions

CURSORS = Cursors(b"a key of sixteen characters or more")
TOPIC = ("stream", "topic")
ALPHABET = string.ascii_letters + string.digits + "-_"

offsets = st.one_of(st.integers(0, 300), st.integers(0, OFFSET_MAX))
positions = st.dictionaries(st.integers(0, 2000), offsets, max_size=12).map(
    lambda found: tuple(sorted(found.items()))
) | st.lists(offsets, min_size=30, max_size=40).map(lambda found: tuple(enumerate(found)))
names = st.text(ALPHABET, min_size=1, max_size=255)


@given(positions=positions, topic=st.tuples(names, names), every=st.booleans())
def test_what_was_told_is_read_back(positions: Positions, topic: tuple[str, str], *, every: bool) -> None:
    cursor = Cursor(topic, positions, every)
    token = CURSORS.token(cursor)
    assert set(token) <= set(ALPHABET)
    assert CURSORS.read(token, topic) == cursor


@given(positions=positions, every=st.booleans(), data=st.data())
def test_every_change_of_one_character_is_refused(
    positions: Positions, data: st.DataObject, *, every: bool
) -> None:
    token = CURSORS.token(Cursor(TOPIC, positions, every))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda each: each != token[at]))
    with pytest.raises(BadRequest) as refused:
        CURSORS.read(token[:at] + other + token[at + 1 :], TOPIC)
    assert refused.value.path == "cursor"


def test_every_change_of_one_byte_is_refused() -> None:
    token = CURSORS.token(Cursor(TOPIC, ((0, 5), (1, 300), (7, OFFSET_MAX))))
    data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(data)):
        for change in range(1, 256):
            changed = data[:at] + bytes((data[at] ^ change,)) + data[at + 1 :]
            with pytest.raises(BadRequest):
                CURSORS.read(urlsafe_b64encode(changed).rstrip(b"=").decode(), TOPIC)


@given(text=st.text(max_size=100))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        CURSORS.read(text, TOPIC)


@pytest.mark.parametrize(
    "topic", [("stream", "other"), ("other", "topic"), ("stre", "amtopic"), ("topic", "stream")]
)
def test_a_cursor_of_another_topic_is_refused(topic: tuple[str, str]) -> None:
    token = CURSORS.token(Cursor(TOPIC, ((0, 5),)))
    with pytest.raises(BadRequest, match="another topic"):
        CURSORS.read(token, topic)


def test_a_cursor_of_another_key_is_refused() -> None:
    token = Cursors(b"another key").token(Cursor(TOPIC, ((0, 5),)))
    with pytest.raises(BadRequest, match="another key"):
        CURSORS.read(token, TOPIC)


@pytest.mark.parametrize("padding", ["=", "==", "\n", " ", "%3D"])
def test_padding_makes_no_second_cursor(padding: str) -> None:
    token = CURSORS.token(Cursor(TOPIC, ((0, 5),)))
    with pytest.raises(BadRequest):
        CURSORS.read(token + padding, TOPIC)


def test_a_cursor_of_another_version_says_so() -> None:
    data = bytearray(urlsafe_b64decode(CURSORS.token(Cursor(TOPIC, ((0, 5),))) + "=="))
    data[0] = 0x30
    with pytest.raises(BadRequest, match="version"):
        CURSORS.read(urlsafe_b64encode(data).rstrip(b"=").decode(), TOPIC)


def test_a_cursor_of_a_whole_topic_that_was_told_before_there_were_columns_is_read() -> None:
    token = (
        "ESgAAAABAAIAAwAEAAUABgAHAAgACQAKAAsADAANAA4ADwAQABEAEgATABQAFQAWABcAGAAZABoAGwAcAB0AHgAfACAA"
        "IQAiACMAJAAlACYAJ2cY3cML1vISbFBsng"
    )
    told = CURSORS.read(token, TOPIC)
    assert told == Cursor(TOPIC, tuple((each, each) for each in range(40)))
    assert CURSORS.read(CURSORS.token(told), TOPIC) == told


def test_the_longest_cursor_is_read_back() -> None:
    longest = tuple((1000 * each, OFFSET_MAX) for each in range(CURSOR_PARTITIONS_MAX))
    token = CURSORS.token(Cursor(TOPIC, longest))
    assert CURSORS.read(token, TOPIC).positions == longest
    assert len(token) <= CURSOR_CHARS_MAX


@pytest.mark.parametrize("every", [True, False])
def test_a_cursor_of_all_partitions_that_a_topic_may_have_fits_a_header_field(every: bool) -> None:
    assert CURSOR_PARTITIONS_MAX == PARTITIONS_MAX
    # One partition that no log of this world fills, others that are empty.
    positions = tuple((each, (2**48 - 1) * (each == 500)) for each in range(PARTITIONS_MAX))
    token = CURSORS.token(Cursor(TOPIC, positions, every))
    assert CURSORS.read(token, TOPIC) == Cursor(TOPIC, positions, every)
    assert len("Last-Event-ID: ") + len(token) <= HEADER_FIELD_BYTES_MAX


@pytest.mark.parametrize("spread, chars", [(0, 40), (250, 1_380), (60_000, 2_710), (2**24 - 256, 4_040)])
def test_of_a_whole_topic_only_the_differences_count(spread: int, chars: int) -> None:
    positions = tuple((each, 256 * 10**9 + spread * (each % 2)) for each in range(PARTITIONS_MAX))
    token = CURSORS.token(Cursor(TOPIC, positions))
    assert CURSORS.read(token, TOPIC).positions == positions
    assert len(token) <= chars


def test_what_is_longer_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(BadRequest) as refused:
        CURSORS.read("A" * (CURSOR_CHARS_MAX + 1), TOPIC)
    assert refused.value.limit == CURSOR_CHARS_MAX


def test_more_partitions_than_a_cursor_holds_are_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        CURSORS.token(Cursor(TOPIC, tuple((each, 0) for each in range(CURSOR_PARTITIONS_MAX + 1))))
    assert refused.value.path == "partitions"


@pytest.mark.parametrize(
    "positions",
    [
        ((1, 0), (0, 0)),
        ((0, 0), (0, 0)),
        ((0, -1),),
        ((0, OFFSET_MAX + 1),),
        tuple(enumerate([*range(40), -1])),
        tuple(enumerate([*range(40), OFFSET_MAX + 1])),
    ],
)
def test_positions_that_are_none_are_a_fault_of_the_program(positions: Positions) -> None:
    with pytest.raises(ValueError, match="out of"):
        CURSORS.token(Cursor(TOPIC, positions))


@given(
    positions=positions.filter(bool),
    data=st.data(),
    next_offsets=st.lists(offsets, max_size=5),
    every=st.booleans(),
)
def test_tokens_of_a_run_are_those_of_its_messages_one_by_one(
    positions: Positions, data: st.DataObject, next_offsets: list[int], *, every: bool
) -> None:
    partition_id = data.draw(st.sampled_from([each for each, _ in positions]))
    cursor = Cursor(TOPIC, positions, every)
    expected = [
        CURSORS.token(
            cursor._replace(
                positions=tuple((each, found if each == partition_id else at) for each, at in positions)
            )
        ).encode()
        for found in next_offsets
    ]
    assert CURSORS.tokens(cursor, partition_id, next_offsets) == expected
