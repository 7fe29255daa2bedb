"""What is kept of pages is what the database would give."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import limits
from bridge.errors import TopicNotFound
from bridge.locallog import LocalMessageLog
from bridge.messagelog import (
    First,
    FromOffset,
    FromTimestamp,
    Last,
    Next,
    Page,
    Position,
    Records,
    Retention,
    ToPartition,
    TopicRef,
)
from tests.support.clock import FakeClock
from tests.support.local_logs import TOPIC, Disk, messages, open_topic, soon


async def read(log: LocalMessageLog, position: Position, *, count: int = 3, topic: TopicRef = TOPIC) -> Page:
    return await log.read(topic, 0, position, count=count, deadline=soon())


def payloads(page: Page) -> list[bytes]:
    return [message.payload for message in page.messages]


@pytest.mark.parametrize("position", [FromOffset(1), First(), Last()])
async def test_a_page_read_often_is_answered_without_the_database(tmp_path: Path, position: Position) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await log.append(TOPIC, ToPartition(0), messages(b"a", b"b", b"c", b"d"), deadline=soon())
    first, second = [await read(log, position) for _ in range(2)]
    disk.failing["select key"] = AssertionError
    third = await read(log, position)
    assert first == second == third
    assert third.messages is second.messages
    assert isinstance(third.messages, Records)
    assert third.messages.kept
    await log.close()


async def test_a_page_at_the_end_grows_with_the_partition(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    expected: list[bytes] = []
    for payload in (b"a", b"b", b"c", b"d"):
        await log.append(TOPIC, ToPartition(0), messages(payload), deadline=soon())
        expected.append(payload)
        for _ in range(3):
            page = await read(log, First())
            assert (payloads(page), page.end_offset) == (expected[:3], len(expected))
            assert payloads(await read(log, Last())) == expected[-3:]
    await log.close()


async def test_a_topic_made_anew_shows_nothing_of_the_old_one(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    for payload in (b"old", b"new"):
        await log.append(TOPIC, ToPartition(0), messages(payload), deadline=soon())
        for _ in range(3):
            assert payloads(await read(log, FromOffset(0))) == [payload]
        await log.delete_topic(TOPIC, deadline=soon())
        with pytest.raises(TopicNotFound):
            await read(log, FromOffset(0))
        await log.create_topic(TOPIC, partitions_count=1, deadline=soon())
    await log.close()


async def test_what_retention_took_is_not_shown_again(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    kept = TopicRef(TOPIC.stream, "kept")
    await log.create_topic(kept, partitions_count=1, retention=Retention(age_s=60), deadline=soon())
    for payload in (b"a", b"b", b"c"):
        await log.append(kept, ToPartition(0), messages(payload), deadline=soon())
        clock.advance(40)
    for _ in range(3):
        assert payloads(await read(log, FromOffset(0), topic=kept)) == [b"a", b"b", b"c"]
    await log.retain()
    for position in (FromOffset(0), First(), Last()):
        assert payloads(await read(log, position, topic=kept)) == [b"c"]
    await log.close()


async def test_a_page_cut_for_its_size_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await open_topic(tmp_path)
    large = bytes(limits.LOCAL_CHUNK_BYTES_MAX)
    await log.append(TOPIC, ToPartition(0), messages(large, large, large), deadline=soon())
    monkeypatch.setattr("bridge.locallog.queries.PAGE_BYTES_MAX", 2 * len(large) + 1000)
    pages = [await read(log, First()) for _ in range(3)]
    assert [len(page.messages) for page in pages] == [2, 2, 2]
    assert not any(isinstance(page.messages, Records) and page.messages.kept for page in pages)
    await log.close()


async def test_a_page_driven_out_leaves_no_json_with_whoever_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.locallog.hot_reads.LOCAL_HOT_PAGES_BYTES_MAX", 24_000)
    log = await open_topic(tmp_path)
    await log.append(TOPIC, ToPartition(0), messages(b"a", b"b"), deadline=soon())
    pages = [await read(log, First(), count=2) for _ in range(3)]
    page = pages[-1].messages
    assert page.kept
    page.page_json = b"as a page"
    others = [b"%d" % number for number in range(20)]
    await log.append(TOPIC, ToPartition(0), messages(*others), deadline=soon())
    for offset in range(2, 22):
        for _ in range(2):
            await read(log, FromOffset(offset), count=1)
    assert not page.kept
    assert page.page_json is None
    await log.close()


STEPS = st.lists(
    st.one_of(
        st.integers(1, 5),
        st.builds(FromOffset, st.integers(0, 12)),
        st.builds(FromTimestamp, st.just(0)),
        st.just(First()),
        st.just(Last()),
        st.just(Next(1)),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, count=st.integers(1, 6))
async def test_no_order_of_appends_and_reads_gives_a_stale_page(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | Position], count: int
) -> None:
    log = await open_topic(tmp_path_factory.mktemp("log"))
    stored: list[bytes] = []
    for step in steps:
        if isinstance(step, int):
            new = [b"%d" % (len(stored) + index) for index in range(step)]
            await log.append(TOPIC, ToPartition(0), messages(*new), deadline=soon())
            stored += new
            continue
        start = step.offset if isinstance(step, FromOffset) else 0
        expected = stored[-count:] if isinstance(step, Last) else stored[start:][:count]
        assert payloads(await read(log, step, count=count)) == expected
    await log.close()
