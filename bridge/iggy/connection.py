"""The connection to Iggy: performs the actions of `state.py`, owns reconnection and the breaker (shell)."""

import asyncio
import random
from collections.abc import Iterator

import structlog

from bridge import limits
from bridge.clock import Clock
from bridge.config import IggyConfig
from bridge.errors import StartupError
from bridge.iggy.address import IggyAddress
from bridge.iggy.breaker import Breaker, BreakerState
from bridge.iggy.client import Dialled, Refusal, SdkCalls, dial, roster_of
from bridge.iggy.pool import Lane, Slot
from bridge.iggy.state import (
    Action,
    AttemptFailed,
    AttemptsExhausted,
    CloseRequested,
    ConnectionLost,
    ConnectionMade,
    Event,
    State,
    step,
)
from bridge.telemetry.metrics import LogMetrics

_log = structlog.get_logger("bridge.iggy")
# 2**32 times any base passes any ceiling; larger powers would overflow a float in a long outage.
_DOUBLINGS_MAX = 32


class IggyConnection:
    """State, clients and breaker.

    Attributes:
        gate: set while requests need not wait: connected, or never again.
        generation: counts the connections; clients of an older one are dead.
        calls: waits for the SDK, and knows what it still does for nobody.
        next_dial_at_s: when the next attempt is due.
        detail: one sentence on the state when not connected, else empty.
        probe_lane: for signs of life alone, so that none waits behind anything.
        lanes: all of them.
    """

    def __init__(
        self,
        config: IggyConfig,
        address: IggyAddress,
        *,
        clock: Clock,
        observer: LogMetrics,
        rng: random.Random,
    ) -> None:
        self.address = address
        self.clock = clock
        self._config = config
        self._observer = observer
        self._rng = rng
        self.breaker = Breaker(
            failures=config.breaker_failures, successes=config.breaker_successes, open_s=config.breaker_open_s
        )
        self._breaker_told = BreakerState.CLOSED
        self.calls = SdkCalls()
        self.generation = 0
        self.gate = asyncio.Event()
        self._dial_wanted = asyncio.Event()
        self._dial_wanted.set()
        self._delays = self._new_delays()
        self._delay_s = 0.0
        self.next_dial_at_s = 0.0
        self._told: set[str] = set()
        self.state = State.CONNECTING
        self.detail = "The Iggy server has not been reached yet."
        self.server_version: str | None = None
        self._spoke = False
        waiting_max = limits.IGGY_CALLS_WAITING_MAX
        # One for each place that is written; they have their bound where they are gathered.
        self.send_lanes = tuple(Lane(1, limits.GATHER_LANES_MAX) for _ in range(limits.IGGY_SEND_LANES))
        self.read_lane = Lane(limits.IGGY_READ_CLIENTS, waiting_max * limits.IGGY_READ_CLIENTS)
        self.admin_lane = Lane(1, waiting_max)
        self.probe_lane = Lane(1, waiting_max)
        self.lanes: tuple[Lane, ...] = (*self.send_lanes, self.read_lane, self.admin_lane, self.probe_lane)
        # The node in use comes first.
        self._nodes: list[str] = list(address.server_addresses)
        self._last_answer_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether a request has a chance right now."""
        return self.state is State.CONNECTED and not self.breaker.blocks(self.clock.monotonic_s())

    async def run(self) -> None:
        """Make the connection, and again whenever it is lost; ends after `close`.

        Raises:
            StartupError: if the attempts allowed have run out.
        """
        while True:
            await self._dial_wanted.wait()
            if self.state is State.CLOSED:
                return
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
                self._delay_s = 0.0
            await self._attempt()

    async def dial(self, slot: Slot) -> Dialled | Refusal:
        """One more client for the node in use, to be put into *slot*; or why there is none."""
        return await self._dial(self._nodes[0], slot)

    async def _dial(self, node: str, slot: Slot | None = None) -> Dialled | Refusal:
        timeout_s = limits.IGGY_CONNECT_TIMEOUT_S
        return await dial(
            self.address, node, self.calls, slot=slot, timeout_s=timeout_s, spoke_before=self._spoke
        )

    def close(self) -> None:
        """Let go of every client and end whoever waits."""
        if self.state is State.CLOSED:
            return
        self._last_answer_s = 0.0
        self._apply(CloseRequested())
        self._dial_wanted.set()
        self.calls.close()

    async def _attempt(self) -> None:
        """Dial each node once, and tell the state machine what came of it."""
        if self.state not in (State.CONNECTING, State.RECONNECTING):
            return
        self._dial_wanted.clear()
        found = await self._first_that_takes_us()
        if self.state not in (State.CONNECTING, State.RECONNECTING):
            return
        if not isinstance(found, Refusal):
            await self._use(*found)
            return
        delay_s = next(self._delays, None)
        if delay_s is None:
            self._apply(AttemptsExhausted(found.detail))
            raise StartupError(f"{found.detail} The attempts to connect have run out.")
        self._delay_s = delay_s
        self._apply(AttemptFailed(found.detail))

    async def _first_that_takes_us(self) -> tuple[str, Dialled] | Refusal:
        """The first node, of all in their order, that takes us; or why the first of all does not.

        One after the other: a cluster of 0.9.0-edge.5 whose leader died had none for 20 s where three clients tried to
        log in, and in 6.5 s where one did (measured).
        """
        refusals: list[Refusal] = []
        for node in tuple(self._nodes):
            result = await self._dial(node)
            if not isinstance(result, Refusal):
                return node, result
            self._tell(result)
            refusals.append(result)
            if self.state not in (State.CONNECTING, State.RECONNECTING):
                break
        return refusals[0]

    async def _use(self, node: str, dialled: Dialled) -> None:
        # The nodes that operators named are kept, those that the server named before are not: it may have lost them.
        # A server alone names itself, perhaps by an address that is none on this side of a proxy.
        named = await roster_of(dialled.client, self.calls, timeout_s=limits.IGGY_ROSTER_TIMEOUT_S)
        if self.state not in (State.CONNECTING, State.RECONNECTING):
            return
        others = named if len(named) > 1 else ()
        self._nodes = list(dict.fromkeys((node, *self.address.server_addresses, *others)))
        slot = self.probe_lane.slots[0]
        slot.client, slot.generation = dialled.client, self.generation
        slot.used_at_s = self.clock.monotonic_s()
        self._apply(ConnectionMade(dialled.server_version))

    def _tell(self, result: Refusal) -> None:
        """Log each reason once an outage: a log full of the same line hides what else happens."""
        if result.detail in self._told:
            return
        self._told.add(result.detail)
        _log.warning("iggy_not_connected", detail=result.detail, fault=result.text)

    def _new_delays(self) -> Iterator[float]:
        return delays_s(
            base_ms=self._config.reconnect_base_delay_ms,
            ceiling_ms=self._config.reconnect_delay_ms_max,
            attempts_max=self._config.reconnect_attempts_max,
            rng=self._rng,
        )

    def _apply(self, event: Event) -> None:
        before = self.state
        self.state, actions = step(before, event)
        match event:
            case ConnectionMade(server_version):
                self.server_version, self.detail = server_version, ""
                self._spoke = True
                self._told.clear()
                if before is State.RECONNECTING:
                    self._observer.reconnects.add()
            case AttemptFailed(detail) | AttemptsExhausted(detail) | ConnectionLost(detail):
                self.detail = detail
            case CloseRequested():
                self.detail = "The bridge is shutting down."
        for action in actions:
            self._perform(action)
        if self.state is not before:
            self._observer.connection.set_state(self.state)
            _log.info("iggy_connection", state=self.state.value, detail=self.detail)

    def _perform(self, action: Action) -> None:
        match action:
            case Action.RELEASE_WAITERS:
                self._delays = self._new_delays()
                self.gate.set()
            case Action.REFUSE_WAITERS:
                self.gate.set()
            case Action.HOLD_REQUESTS:
                self.gate.clear()
            case Action.DROP_CLIENTS:
                self.generation += 1
                for lane in self.lanes:
                    for slot in lane.slots:
                        slot.drop_client(self._last_answer_s)
            case Action.RESET_BREAKER:
                self.breaker.reset()
            case Action.BACK_OFF:
                self.next_dial_at_s = self.clock.monotonic_s() + self._delay_s
            case Action.DIAL:
                self._dial_wanted.set()
        self.tell_breaker()

    def tell_breaker(self) -> None:
        """Pass on where the breaker stands, if that is news."""
        if self.breaker.state is not self._breaker_told:
            self._breaker_told = self.breaker.state
            self._observer.breaker.set_state(self._breaker_told)
            _log.warning("iggy_breaker", state=self._breaker_told.value)

    def lost(self, generation: int, detail: str, *, silent: bool = False) -> None:
        """News that the clients of *generation* are dead; old news is no news.

        Args:
            silent: the server does not answer; then nobody waits any more for what it was asked, and its node is the
                last to be dialled. Else one connection broke, and what others were asked may have its answer yet.
        """
        if generation != self.generation or self.state is not State.CONNECTED:
            return
        self._last_answer_s = 0.0 if silent else limits.IGGY_LAST_ANSWER_S
        if silent:
            self._nodes.append(self._nodes.pop(0))
        self._apply(ConnectionLost(detail))


def delays_s(*, base_ms: int, ceiling_ms: int, attempts_max: int, rng: random.Random) -> Iterator[float]:
    """Seconds to wait after the first failed attempt, the second, and so on: full jitter over a doubling range.

    Attempt n is followed by anything from 0 to min(*ceiling_ms*, *base_ms* * 2**(n-1)), evenly spread, so that many
    bridges do not come back together.

    Args:
        base_ms: width of the first range, 1 or more.
        ceiling_ms: width of the widest range.
        attempts_max: attempts allowed; after the last one the iterator ends. 0 is without end.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
    """
    attempt = 1
    while attempts_max == 0 or attempt < attempts_max:
        range_ms = min(ceiling_ms, base_ms * 2 ** min(attempt - 1, _DOUBLINGS_MAX))
        yield rng.uniform(0, range_ms) / 1000
        attempt += 1
