"""Claims of `background.canary`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.background.canary import Canary, RoundTrip
from bridge.clock import Deadline
from bridge.errors import ConnectionFailed, PollError
from bridge.locallog import LocalMessageLog
from bridge.messagelog import NO_RECORDS, Last, TopicRef
from bridge.telemetry.metrics import Metrics
from tests.support.clock import FakeClock
from tests.support.local_logs import open_log

TOPIC = TopicRef("own", "canary")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def log(tmp_path: Path, metrics: Metrics) -> AsyncIterator[LocalMessageLog]:
    log = await open_log(tmp_path, observer=metrics.log)
    yield log
    await log.close()


def _canary(log: Any, metrics: Metrics, clock: FakeClock | None = None) -> Canary:
    return Canary(log, TOPIC.stream, clock=clock or FakeClock(), metrics=metrics.canary)


async def _stored(log: LocalMessageLog) -> int:
    page = await log.read(TOPIC, 0, Last(), count=1, deadline=Deadline.after(10, FakeClock()))
    return page.end_offset


async def test_the_topic_is_made_and_what_is_stored_comes_back(
    log: LocalMessageLog, metrics: Metrics
) -> None:
    canary = _canary(log, metrics)
    await canary.step()
    await canary.step()
    assert await _stored(log) == 2
    topic = await log.topic(TOPIC, deadline=Deadline.after(10, FakeClock()))
    assert (topic.partitions_count, topic.retention.age_s) == (1, 3600)
    text = metrics.render()[0]
    assert b"bridge_canary_duration_seconds_count 2.0" in text
    assert b"bridge_canary_failures_total{" not in text


async def test_however_many_look_the_log_is_asked_once_a_second(
    log: LocalMessageLog, metrics: Metrics
) -> None:
    clock = FakeClock()
    canary = _canary(log, metrics, clock)
    looks = await asyncio.gather(*(canary.look() for _ in range(20)))
    assert {look.ok for look in looks} == {True}
    assert await _stored(log) == 1
    clock.advance(1.5)
    assert await canary.look() == RoundTrip(ok=True, detail="", seconds=0.0)
    assert await _stored(log) == 2


class _Log:
    """The log, of which something is broken."""

    def __init__(self, log: LocalMessageLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class _Away(_Log):
    async def append(self, *_: Any, **__: Any) -> Any:
        raise ConnectionFailed


class _Forgetful(_Log):
    async def read(self, *given: Any, **more: Any) -> Any:
        page = await self._log.read(*given, **more)
        return page._replace(messages=NO_RECORDS)


@pytest.mark.parametrize("broken,code", [(_Away, "connection_failed"), (_Forgetful, "poll_error")])
async def test_what_fails_is_told_counted_and_raised(
    log: LocalMessageLog, metrics: Metrics, broken: type[_Log], code: str
) -> None:
    canary = _canary(broken(log), metrics)
    look = await canary.look()
    assert not look.ok
    assert look.detail
    assert f'bridge_canary_failures_total{{code="{code}"}} 1.0'.encode() in metrics.render()[0]
    with pytest.raises((ConnectionFailed, PollError)):
        await canary.step()


async def test_who_looks_and_leaves_leaves_the_turn_to_the_next(
    log: LocalMessageLog, metrics: Metrics
) -> None:
    canary = _canary(log, metrics)
    first = asyncio.create_task(canary.look())
    second = asyncio.create_task(canary.look())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).ok
