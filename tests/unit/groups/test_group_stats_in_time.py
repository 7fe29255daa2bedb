"""How often a process looks at how groups stand: seldom where that takes long, soon where the log was away."""

import asyncio
from typing import Any, NamedTuple, cast

import pytest

from bridge import limits
from bridge.errors import Disconnected, LogError
from bridge.groups.maintenance import Maintenance
from bridge.groups.served_groups import GroupsContext, ServedGroups
from bridge.telemetry.group_metrics import GroupMetrics
from tests.support.virtual_time import LoopClock, VirtualTimeLoop, pass_s, run_in_virtual_time


class Look(NamedTuple):
    took_s: float
    error: LogError | None = None


class Looking(Maintenance):
    """Notes when each look begins; it takes as long as it is told, and ends as it is told."""

    def __init__(self, loop: VirtualTimeLoop, look: Look) -> None:
        clock = LoopClock(loop)
        context = GroupsContext(*(cast("Any", None),) * 4, clock, 1)
        served = ServedGroups.__new__(ServedGroups)
        super().__init__(context, served, GroupMetrics(), is_idle=lambda: False, unused_s_max=0)
        self._clock, self._look = clock, look
        self.begun_s: list[float] = []

    async def measure_once(self) -> None:
        self.begun_s.append(self._clock.monotonic_s())
        await asyncio.sleep(self._look.took_s)
        if self._look.error is not None:
            raise self._look.error


@pytest.mark.parametrize(
    "look, rest_s",
    [
        (Look(0.01), limits.GROUP_STATS_INTERVAL_S),
        (Look(3.0), 30.0),
        # A tenth of the time would leave alerts without figures for five minutes after the log is back.
        (Look(limits.GROUP_STATS_TIMEOUT_S, Disconnected()), limits.GROUP_STATS_TIMEOUT_S),
        (Look(0.01, Disconnected()), limits.GROUP_STATS_INTERVAL_S),
    ],
)
def test_it_rests_nine_tenths_of_the_time_but_only_as_long_as_a_look_that_failed(
    look: Look, rest_s: float
) -> None:
    async def main() -> None:
        loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
        maintenance = Looking(loop, look)
        task = asyncio.create_task(maintenance.measure())
        await pass_s(loop, limits.GROUP_STATS_INTERVAL_S + 2 * (look.took_s + rest_s) + 1)
        first, second, *_ = maintenance.begun_s
        assert second - first == pytest.approx(look.took_s + rest_s, abs=0.2)
        task.cancel()

    run_in_virtual_time(main())
