"""Claims of `background.default_topic`, on the embedded log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.background.default_topic import make_default_topic
from bridge.clock import Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.locallog import LocalMessageLog
from bridge.messagelog import TopicRef
from bridge.telemetry.port import NullObserver

TOPIC = TopicRef("made", "at-start")
CLOCK = SystemClock()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalMessageLog]:
    opened = await LocalMessageLog.open(
        LocalLogConfig(data_dir=str(tmp_path)), clock=CLOCK, observer=NullObserver()
    )
    yield opened
    await opened.close()


async def made(log: LocalMessageLog, partitions_count: int = 3) -> None:
    await make_default_topic(log, TOPIC, partitions_count=partitions_count, clock=CLOCK, timeout_s=10.0)


async def partitions(log: LocalMessageLog) -> int:
    return await log.partitions_count(TOPIC, deadline=Deadline.after(10.0, CLOCK))


async def test_stream_and_topic_are_made_where_they_are_missing(log: LocalMessageLog) -> None:
    await made(log)
    assert await partitions(log) == 3


async def test_a_missing_topic_is_made_in_a_stream_that_is_there(log: LocalMessageLog) -> None:
    await log.create_stream(TOPIC.stream, deadline=Deadline.after(10.0, CLOCK))
    await made(log)
    assert await partitions(log) == 3


async def test_ten_at_once_make_it_once(log: LocalMessageLog) -> None:
    await asyncio.gather(*(made(log) for _ in range(10)))
    assert await partitions(log) == 3


async def test_a_topic_that_is_there_keeps_its_partitions_and_the_difference_is_told(
    log: LocalMessageLog, capsys: pytest.CaptureFixture[str]
) -> None:
    await made(log, 2)
    await made(log, 2)
    assert "default_topic_partitions" not in capsys.readouterr().out
    await made(log, 5)
    assert await partitions(log) == 2
    assert "default_topic_partitions" in capsys.readouterr().out
