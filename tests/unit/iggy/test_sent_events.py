"""An event that was sent here is known by where it is and what it says, and nothing else is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.iggy.sent_events import SentEvents
from bridge.limits import IGGY_SENT_RUN_MESSAGES, IGGY_SENT_RUNS_MAX, PAGE_BYTES_MAX
from bridge.messagelog import ID_BYTES, NO_RECORDS, NewRecords, Records, TopicRef

TOPIC = TopicRef("stream", "topic")
FEW = [b"one", b"two", b"three"]


def events(payloads: Sequence[bytes]) -> NewRecords:
    return NewRecords(payloads, bytes(ID_BYTES * len(payloads)), events=True)


def read(payloads: Sequence[bytes], offset: int = 0) -> Records:
    count = len(payloads)
    return Records(range(offset, offset + count), [1] * count, bytes(ID_BYTES * count), payloads, {})


def stored(sent: SentEvents, payloads: Sequence[bytes], offset: int = 0, *, partition_id: int = 0) -> None:
    sent.add(TOPIC, partition_id, offset, sent.hashes(events(payloads)))


def test_what_was_sent_is_known_wherever_a_page_of_it_begins_and_ends() -> None:
    sent = SentEvents()
    payloads = [b"%d" % number for number in range(3 * IGGY_SENT_RUN_MESSAGES)]
    stored(sent, payloads[:5], 100)
    stored(sent, payloads[5:], 105)
    for begin, end in ((0, 1), (0, len(payloads)), (7, 300), (155, 156), (156, 412), (767, 768)):
        assert sent.are_all(TOPIC, 0, read(payloads[begin:end], 100 + begin))


def test_another_payload_at_its_place_is_not_known_nor_is_it_at_another_place() -> None:
    sent = SentEvents()
    stored(sent, FEW)
    assert not sent.are_all(TOPIC, 0, read([b"one", b"two", b"thre3"]))
    assert not sent.are_all(TOPIC, 0, read([b"two", b"one", b"three"]))
    assert not sent.are_all(TOPIC, 0, read(FEW, 1))
    assert not sent.are_all(TOPIC, 1, read(FEW))
    assert not sent.are_all(TopicRef("stream", "other"), 0, read(FEW))
    assert not SentEvents().are_all(TOPIC, 0, read(FEW))


def test_of_a_page_that_others_wrote_a_part_of_nothing_is_said() -> None:
    sent = SentEvents()
    stored(sent, FEW)
    stored(sent, FEW, 4)
    assert not sent.are_all(TOPIC, 0, read([*FEW, b"theirs", *FEW]))
    assert not sent.are_all(TOPIC, 0, read([*FEW, b"theirs"]))
    assert sent.are_all(TOPIC, 0, read(FEW, 4))


def test_a_place_that_is_given_again_is_known_by_what_came_last() -> None:
    sent = SentEvents()
    stored(sent, FEW)
    stored(sent, [b"new"], 1)
    assert not sent.are_all(TOPIC, 0, read(FEW))
    assert sent.are_all(TOPIC, 0, read([b"one", b"new", b"three"]))


def test_what_is_no_event_is_never_known() -> None:
    sent = SentEvents()
    assert not sent.hashes(NewRecords(FEW, bytes(ID_BYTES * len(FEW))))
    sent.add(TOPIC, 0, 0, sent.hashes(NewRecords(FEW, bytes(ID_BYTES * len(FEW)))))
    assert not sent.are_all(TOPIC, 0, read(FEW))
    assert not sent.are_all(TOPIC, 0, NO_RECORDS)


@pytest.mark.parametrize("over", [0, 1])
def test_no_more_is_hashed_in_one_go_than_a_page_holds(over: int) -> None:
    sent = SentEvents()
    large = [b"x" * (PAGE_BYTES_MAX - 1), b"y" * (1 + over)]
    stored(sent, large)
    assert sent.are_all(TOPIC, 0, read(large)) is not bool(over)
    stored(sent, large[:1])
    stored(sent, large[1:], 1)
    assert sent.are_all(TOPIC, 0, read(large)) is not bool(over)


def test_what_was_begun_first_is_forgotten_first() -> None:
    sent = SentEvents()
    for partition_id in range(IGGY_SENT_RUNS_MAX + 1):
        stored(sent, [b"x"], partition_id=partition_id)
    known = [sent.are_all(TOPIC, each, read([b"x"])) for each in range(IGGY_SENT_RUNS_MAX + 1)]
    assert known == [False] + [True] * IGGY_SENT_RUNS_MAX


_PAYLOADS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=9)
_PLACES = st.integers(IGGY_SENT_RUN_MESSAGES - 9, IGGY_SENT_RUN_MESSAGES + 9)


@given(st.lists(st.tuples(_PLACES, _PAYLOADS), max_size=9), _PLACES, _PAYLOADS)
def test_a_page_is_known_if_and_only_if_each_place_of_it_last_got_this_event(
    appends: list[tuple[int, list[bytes]]], offset: int, payloads: list[bytes]
) -> None:
    sent = SentEvents()
    places: dict[int, bytes] = {}
    for begin, batch in appends:
        stored(sent, batch, begin)
        places |= dict(enumerate(batch, start=begin))
    wanted = [places.get(place) for place in range(offset, offset + len(payloads))]
    assert sent.are_all(TOPIC, 0, read(payloads, offset)) is (wanted == payloads)
