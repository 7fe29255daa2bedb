"""How every group stands, told all the time; and the end of those that nobody uses (shell)."""

import asyncio
from typing import NoReturn

import structlog

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import BridgeError
from bridge.groups.inspection import GroupInspector
from bridge.groups.ledger import Group
from bridge.groups.maintenance import Maintenance
from bridge.groups.records import Scope
from bridge.groups.served_group import Context
from bridge.groups.served_groups import ServedGroups
from bridge.telemetry.metrics import GroupMetrics, GroupStats

__all__ = ("StatsReporter",)

_log = structlog.get_logger("bridge.groups")


class StatsReporter:
    """
    Looks at all groups, whoever uses them.

    Args:
        unused_s_max: a group that nobody uses for longer ends; 0 keeps all.
    """

    def __init__(
        self,
        context: Context,
        inspector: GroupInspector,
        served_groups: ServedGroups,
        maintenance: Maintenance,
        observer: GroupMetrics,
        *,
        unused_s_max: float,
    ) -> None:
        self._replica = context.replica
        self._clock = context.clock
        self._inspector = inspector
        self._served_groups = served_groups
        self._maintenance = maintenance
        self._observer = observer
        self._unused_s_max = unused_s_max

    async def run(self) -> NoReturn:
        """Look now and then, for a tenth of the time at most; ends by cancellation only."""
        rest_s = limits.GROUP_STATS_INTERVAL_S
        while True:
            await asyncio.sleep(rest_s)
            began_s = self._clock.monotonic_s()
            try:
                await self._look()
            except BridgeError as error:
                _log.debug("group_standing_not_known", code=error.code)
            took_s = self._clock.monotonic_s() - began_s
            rest_s = max(limits.GROUP_STATS_INTERVAL_S, took_s / limits.GROUP_STATS_SHARE)

    async def _look(self) -> None:
        """Tell how every group stands, whoever uses it or not, and end those that nobody used for long."""
        standing: dict[Scope, GroupStats | None] | None = None
        try:
            if self._replica.is_known:
                deadline = Deadline.after(limits.GROUP_STATS_TIMEOUT_S, self._clock)
                standing = await self._inspector.standing(deadline=deadline)
        finally:
            self._observer.groups_measured(
                None if standing is None else {(*scope,): stands for scope, stands in standing.items()}
            )
        for scope, stands in (standing or {}).items():
            group = self._replica.ledger.groups.get(scope)
            if group is not None and self._is_over(scope, group, topic_is_there=stands is not None):
                await self._maintenance.expire(scope, group, keep_marks=stands is not None)

    def _is_over(self, scope: Scope, group: Group, *, topic_is_there: bool) -> bool:
        """Whether a group is of no use any more; who receives without getting anything uses it too."""
        idle_s = self._served_groups.idle_s(scope)
        if idle_s == 0.0:
            return False
        unused_s = (self._clock.now_us() - group.used_us) / 1_000_000
        if idle_s is not None:
            unused_s = min(unused_s, idle_s)
        return not topic_is_there or 0 < self._unused_s_max <= unused_s
