"""Limits that replicas count together, in Redis (shell): asked within a short time, and left alone while it is away.

Each replica goes on counting by itself as well, in front of this: what is too much for one is too much for all, so a flood
ends there and never becomes one of Redis, and where Redis is away that count is the limit in force.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from math import ceil
from typing import Final, NoReturn, TypeVar

import structlog
from limits import RateLimitItemPerSecond

from bridge.errors import LimitsUnavailable
from bridge.limits import (
    SHARED_LIMITS_CONNECTIONS_MAX,
    SHARED_LIMITS_PROBE_INTERVAL_S,
    SHARED_LIMITS_START_TIMEOUT_S,
    SHARED_LIMITS_TIMEOUT_S,
    TICKET_LIFETIME_S,
)
from bridge.policy.api_keys import FAILED_KEY_WINDOWS
from bridge.policy.rate_limits import BucketDraw, RateLimit, RateVerdict
from bridge.telemetry.process_metrics import SharedLimitMetrics

_T = TypeVar("_T")
#: In front of every key, so that a Redis may serve others too.
_PREFIX: Final = "bridge:limits"
#: Counted at each look, so that what wrong keys are counted by is known to work too.
_PROBE: Final = RateLimitItemPerSecond(1_000_000)
_PROBED: Final = BucketDraw(RateLimit("probe", 1e-6, 1_000_000), "probe")
# `limits` has windows only, and a bucket's burst is none of theirs: `policy.rate_limits.drawn` again, in one step on the
# server and by its clock, which is one for all replicas. Microseconds: whole, and exact in Lua's floats. Of each bucket: what may
# be missing, what is taken, and what is missing at most after it.
_DRAW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = {}
for i, key in ipairs(KEYS) do
  local passes, cost, most = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local missing = (tonumber(redis.call('GET', key) or '0')) - now
  missing = math.min(math.max(missing, 0), most)
  found[i] = math.floor(missing)
  if missing > passes then
    break
  end
  if cost > 0 then
    local taken = math.min(missing + cost, most)
    redis.call('SET', key, string.format('%.0f', now + taken), 'PX', math.ceil(taken / 1000) + 1000)
  end
end
return found
"""
_US: Final = 1_000_000

_log = structlog.get_logger("bridge.web")


class SharedLimits:
    """Asks one Redis (or what speaks its protocol).

    Args:
        uri: `redis://`, `rediss://` or `unix://`, as redis-py reads it.
        refuses_without: what cannot be counted is refused; else the limits of this process alone hold meanwhile.

    Attributes:
        is_in_force: whether Redis answered when it was last asked; nobody waits for it while it does not.

    Raises:
        ValueError: if *uri* is none.
    """

    def __init__(self, uri: str, *, refuses_without: bool, metrics: SharedLimitMetrics) -> None:
        # Megabytes that nobody else needs, and an extra of the package.
        from limits.aio.storage import RedisStorage  # noqa: PLC0415
        from limits.aio.strategies import FixedWindowRateLimiter  # noqa: PLC0415
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        self.is_in_force = False
        self._refuses_without = refuses_without
        self._metrics = metrics
        self._errors: tuple[type[Exception], ...] = (RedisError, OSError)
        # The library's own would try three times, and wait for seconds.
        once = Retry(NoBackoff(), 0)
        self._pool = BlockingConnectionPool.from_url(
            uri,
            max_connections=SHARED_LIMITS_CONNECTIONS_MAX,
            timeout=SHARED_LIMITS_TIMEOUT_S,
            retry=once,
            retry_on_error=[],
            # It would read its version from the disk for every connection, to tell it.
            driver_info=None,
        )
        self._client = Redis(connection_pool=self._pool, retry=once)
        self._draw = self._client.register_script(_DRAW)
        storage = RedisStorage(
            "redis://",
            implementation="redispy",
            key_prefix=_PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]
            retry=once,  # type: ignore[arg-type]
        )
        self._windows = FixedWindowRateLimiter(storage)
        self._spending: set[asyncio.Task[None]] = set()
        metrics.up.set(0)

    async def take(self, draws: Sequence[BucketDraw]) -> list[RateVerdict] | None:
        """As `policy.rate_limits.drawn`, with one question; None where Redis has no answer.

        Raises:
            LimitsUnavailable: in place of None, if *refuses_without*.
        """

        async def ask() -> list[RateVerdict]:
            missing_us = await self._missing_us(draws)
            return [
                draw.limit.take(each / _US, 0.0, draw.cost)[1]
                for draw, each in zip(draws, missing_us, strict=False)
            ]

        return await self._answered(ask)

    def spend(self, draws: Sequence[BucketDraw]) -> None:
        """Take soon what came already, whether it is there or not; nobody waits for it."""
        if draws and self.is_in_force:
            task = asyncio.create_task(self._spend(draws), name="spend shared limits")
            self._spending.add(task)
            task.add_done_callback(self._spending.discard)

    async def _spend(self, draws: Sequence[BucketDraw]) -> None:
        await self._asked(lambda: self._missing_us(draws, regardless=True))

    async def _missing_us(self, draws: Sequence[BucketDraw], *, regardless: bool = False) -> list[int]:
        args: list[float] = []
        for draw in draws:
            limit = draw.limit
            most_s = limit.debt_s_max or limit.burst * limit.interval_s
            needed = 0 if limit.debt_s_max else draw.cost
            # With the slack of `take`.
            passes_s = most_s if regardless else (limit.burst - needed + 1e-2) * limit.interval_s
            args += (passes_s * _US, draw.cost * limit.interval_s * _US, most_s * _US)
        keys = [f"{_PREFIX}:bucket:{draw.key}" for draw in draws]
        missing_us: list[int] = await self._draw(keys=keys, args=args)
        return missing_us

    async def is_first_use(self, ticket: str) -> bool | None:
        """Whether no replica has taken *ticket* before; with None, and raises, as `take`."""
        # Whoever reads Redis must not find any that may still be used.
        name = blake2b(ticket.encode(), digest_size=16).hexdigest()

        async def ask() -> bool:
            return bool(
                await self._client.set(f"{_PREFIX}:ticket:{name}", 1, nx=True, ex=ceil(2 * TICKET_LIFETIME_S))
            )

        return await self._answered(ask)

    async def key_failed(self, address: str) -> int | None:
        """As `policy.api_keys.Lockout.failed`, of all replicas; None where Redis has no answer."""

        async def ask() -> int:
            wait_s = 0.0
            for item in FAILED_KEY_WINDOWS:
                if not await self._windows.test(item, address):
                    ends_s, _ = await self._windows.get_window_stats(item, address)
                    wait_s = max(wait_s, ends_s - time.time(), 0.001)
            if not wait_s:
                for item in FAILED_KEY_WINDOWS:
                    await self._windows.hit(item, address)
            return ceil(wait_s * 1000)

        return await self._asked(ask)

    async def start(self) -> None:
        """Ask for the first time, which takes longer: connections are made, and modules loaded."""
        await self.probe(timeout_s=SHARED_LIMITS_START_TIMEOUT_S)
        if not self.is_in_force:
            _log.warning("shared_limits_away", refuses_meanwhile=self._refuses_without)

    async def run(self) -> NoReturn:
        """Ask it again and again, so that nobody else finds out that it went away, or has to try whether it is back."""
        while True:
            await asyncio.sleep(SHARED_LIMITS_PROBE_INTERVAL_S)
            await self.probe(timeout_s=SHARED_LIMITS_TIMEOUT_S)

    async def probe(self, *, timeout_s: float) -> None:
        """Whether it can count; a Redis that answers and may write nothing (full, or a replica) is away too."""

        async def ask() -> bool:
            await self._missing_us((_PROBED,))
            return await self._windows.hit(_PROBE, "probe")

        if await self._answer_of(ask, timeout_s) and not self.is_in_force:
            self.is_in_force = True
            self._metrics.up.set(1)
            _log.info("shared_limits_in_force")

    async def close(self) -> None:
        """Let go of its connections, once what came is told."""
        if self._spending:
            await asyncio.wait(self._spending)
        await self._client.aclose()
        await self._pool.disconnect()

    async def _answered(self, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        answer = await self._asked(ask)
        if answer is None and self._refuses_without:
            raise LimitsUnavailable
        return answer

    async def _asked(self, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        return await self._answer_of(ask, SHARED_LIMITS_TIMEOUT_S) if self.is_in_force else None

    async def _answer_of(self, ask: Callable[[], Awaitable[_T]], timeout_s: float) -> _T | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await ask()
        except self._errors as error:
            self._metrics.errors.add()
            if self.is_in_force:
                self.is_in_force = False
                self._metrics.up.set(0)
                _log.warning(
                    "shared_limits_away", error=type(error).__name__, refuses_meanwhile=self._refuses_without
                )
            return None
