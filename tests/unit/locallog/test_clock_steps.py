"""The machine's clock is set forwards and back: nothing is lost or out of order, and nobody's time is up by it."""

import random
from pathlib import Path

from bridge.clock import Deadline
from bridge.messagelog import First, FromTimestamp, Retention, ToPartition
from tests.support.checker import Account, Stored
from tests.support.clock import FakeClock
from tests.support.local_logs import TOPIC, messages, open_log, open_topic, soon

DAY_S = 86_400.0
SEED = 7


async def test_appends_go_on_in_order_wherever_the_clock_is_set(tmp_path: Path) -> None:
    clock, rng, account = FakeClock(), random.Random(SEED), Account(SEED)
    log = await open_topic(tmp_path, clock=clock)
    told: list[tuple[int, int]] = []
    for number in range(200):
        clock.step(rng.choice((-1, 1)) * rng.choice((0.001, 1, 3600, DAY_S, 400 * DAY_S)))
        clock.advance(0.01)
        payload = b"%d" % number
        account.send(payload, payload)
        deadline = Deadline.after(5, clock)
        receipt = await log.append(TOPIC, ToPartition(0), messages(payload), deadline=deadline)
        assert receipt.offset is not None
        account.acknowledge(payload, 0, receipt.offset)
        told.append((receipt.offset, clock.now_us()))
        if number == 100:
            await log.close()
            log = await open_log(tmp_path, clock=clock)
    page = await log.read(TOPIC, 0, First(), count=1_000, deadline=soon())
    account.check({0: [Stored(each.offset, each.payload, each.payload) for each in page.messages]})
    times = [each.timestamp_us for each in page.messages]
    assert times == sorted(times)
    for offset, now_us in told:
        # The time that the clock showed then finds no later message than the one it was shown for.
        found = await log.read(TOPIC, 0, FromTimestamp(now_us), count=1, deadline=soon())
        assert found.messages[0].offset <= offset
    await log.close()


async def test_retention_by_age_takes_nothing_young_when_the_clock_goes_back(tmp_path: Path) -> None:
    clock = FakeClock()
    log = await open_topic(tmp_path, clock=clock)
    await log.update_retention(TOPIC, Retention(age_s=3_600), deadline=soon())
    clock.step(DAY_S)
    await log.append(TOPIC, ToPartition(0), messages(b"of tomorrow"), deadline=soon())
    clock.step(-DAY_S)
    await log.append(TOPIC, ToPartition(0), messages(b"of today"), deadline=soon())
    await log.retain()
    page = await log.read(TOPIC, 0, First(), count=9, deadline=soon())
    assert [each.payload for each in page.messages] == [b"of tomorrow", b"of today"]
    clock.step(DAY_S + 3_601)
    await log.retain()
    page = await log.read(TOPIC, 0, First(), count=9, deadline=soon())
    assert list(page.messages) == []
    await log.close()
