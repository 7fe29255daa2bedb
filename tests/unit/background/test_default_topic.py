"""Claims of `background.default_topic`, on the embedded log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.background.default_topic import DefaultTopic
from bridge.clock import Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.flow.kept_topic import KeptTopic
from bridge.locallog import LocalMessageLog
from bridge.messagelog import TopicRef
from bridge.telemetry.metrics import LogMetrics

TOPIC = TopicRef("made", "at-start")
CLOCK = SystemClock()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalMessageLog]:
    opened = await LocalMessageLog.open(
        LocalLogConfig(data_dir=str(tmp_path)), clock=CLOCK, observer=LogMetrics()
    )
    yield opened
    await opened.close()


def default_topic(
    log: LocalMessageLog, partitions_count: int = 3, kept: KeptTopic | None = None
) -> DefaultTopic:
    return DefaultTopic(
        log, kept or KeptTopic(TOPIC), partitions_count=partitions_count, clock=CLOCK, timeout_s=10.0
    )


async def partitions(log: LocalMessageLog) -> int:
    return await log.partitions_count(TOPIC, deadline=Deadline.after(60.0, CLOCK))


async def test_stream_and_topic_are_made_where_they_are_missing(log: LocalMessageLog) -> None:
    await default_topic(log).look()
    assert await partitions(log) == 3


async def test_a_missing_topic_is_made_in_a_stream_that_is_there(log: LocalMessageLog) -> None:
    await log.create_stream(TOPIC.stream, deadline=Deadline.after(60.0, CLOCK))
    await default_topic(log).look()
    assert await partitions(log) == 3


async def test_ten_at_once_make_it_once(log: LocalMessageLog) -> None:
    await asyncio.gather(*(default_topic(log).look() for _ in range(10)))
    assert await partitions(log) == 3


@pytest.mark.parametrize("whole_stream", [True, False])
async def test_what_somebody_deleted_is_made_again_and_said_to_be_missing_meanwhile(
    log: LocalMessageLog, whole_stream: bool
) -> None:
    kept = KeptTopic(TOPIC)
    looker = default_topic(log, kept=kept)
    await looker.look()
    kept.made()
    deadline = Deadline.after(60.0, CLOCK)
    await (
        log.delete_stream(TOPIC.stream, deadline=deadline)
        if whole_stream
        else log.delete_topic(TOPIC, deadline=deadline)
    )
    await looker.look()
    assert await partitions(log) == 3
    assert not kept.is_there


async def test_a_look_at_a_topic_that_is_there_writes_nothing(log: LocalMessageLog) -> None:
    await default_topic(log).look()
    before = (await log.topic(TOPIC, deadline=Deadline.after(60.0, CLOCK))).created_at_us
    kept = KeptTopic(TOPIC)
    kept.made()
    await default_topic(log, kept=kept).look()
    assert (await log.topic(TOPIC, deadline=Deadline.after(60.0, CLOCK))).created_at_us == before
    assert kept.is_there


async def test_a_topic_that_is_there_keeps_its_partitions_and_the_difference_is_told_once(
    log: LocalMessageLog, capsys: pytest.CaptureFixture[str]
) -> None:
    await default_topic(log, 2).look()
    await default_topic(log, 2).look()
    assert "default_topic_partitions" not in capsys.readouterr().out
    looker = default_topic(log, 5)
    for _ in range(3):
        await looker.look()
    assert await partitions(log) == 2
    assert capsys.readouterr().out.count("default_topic_partitions") == 1
