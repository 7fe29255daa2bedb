"""Requests to Iggy, carried over the SDK's clients of one connection (shell).

One request at a time is handed to a client, under the caller's own deadline. What is handed over cannot be taken back: when
the caller gives up, the SDK's call runs on and holds its client; so the client is left behind, and replaced.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

import structlog
from apache_iggy import IggyClient

from bridge import limits
from bridge.clock import Deadline
from bridge.errors import (
    BridgeError,
    CircuitOpen,
    ConnectionFailed,
    DeadlineExceeded,
    Disconnected,
    LogError,
    Outcome,
    Overloaded,
)
from bridge.iggy.breaker import BreakerPermit, Refused
from bridge.iggy.call_times import CallTime, CallTimes
from bridge.iggy.client import Refusal
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Operation, Verdict, explain
from bridge.iggy.pool import Lane, Slot
from bridge.iggy.state import State

_T = TypeVar("_T")
_log = structlog.get_logger("bridge.iggy")

# Between two tries of a request that the server did not admit: a new topic takes about 50 ms to be ready.
_NOT_ACCEPTED_PAUSE_S = 0.02


class _Phase(Enum):
    """How far a request came; decides what its end by timeout means."""

    CONNECTION = auto()
    QUEUE = auto()
    #: A client is dialled, or asked for a sign of life.
    DIAL = auto()
    HANDED_OVER = auto()


class _Ending(Enum):
    """What a request's end tells the breaker."""

    ANSWERED = auto()
    #: The log itself did not answer.
    SILENT = auto()
    NOT_TRIED = auto()
    #: The caller went away.
    CANCELLED = auto()


@dataclass(slots=True)
class _Call:
    operation: Operation
    write: bool
    time: CallTime
    not_done: Callable[[], None] | None = None
    begun_s: float = 0.0
    phase: _Phase = _Phase.QUEUE
    ending: _Ending = _Ending.CANCELLED

    @property
    def not_written(self) -> Outcome | None:
        return Outcome.NOT_WRITTEN if self.write else None


class _Again(Exception):
    """The try may be made again; never leaves this module."""

    def __init__(self, error: BridgeError, pause_s: float = 0.0) -> None:
        self.error = error
        self.pause_s = pause_s


class IggySession:
    """Requests over one connection.

    Attributes:
        send_lanes, read_lane, admin_lane: of the connection, to be named in `call`.
    """

    def __init__(self, connection: IggyConnection) -> None:
        self._connection = connection
        self.send_lanes = connection.send_lanes
        self.read_lane = connection.read_lane
        self.admin_lane = connection.admin_lane
        self._waiting = 0
        self._times = CallTimes(self._begin_doubt)
        self._doubt: asyncio.Task[None] | None = None

    async def call(
        self,
        lane: Lane,
        request: Callable[[IggyClient], Awaitable[_T]],
        operation: Operation,
        *,
        write: bool,
        deadline: Deadline,
        not_done: Callable[[], None] | None = None,
    ) -> _T:
        """The SDK's answer to *request*, made when the connection is there and a client of *lane* is free.

        Repeated within the deadline where it is a read or surely was not written; never where nobody knows.

        Args:
            request: hands the request to the SDK; called once for each try.
            not_done: called when a try of a write came to nothing, surely, before the next one.

        Raises:
            BridgeError: what the SDK's text means, see `faults`; whatever *request* raises.
            CircuitOpen, Disconnected, ConnectionFailed, Overloaded, DeadlineExceeded: as `MessageLog` says.
        """
        call = _Call(operation, write, CallTime(self._times, deadline), not_done)
        if not deadline.remaining_s():
            raise DeadlineExceeded(outcome=call.not_written)
        permit = self._admit(call)
        begun_s = self._connection.clock.monotonic_s()
        try:
            with call.time:
                result = await self._until_answered(lane, request, call)
            call.ending = _Ending.ANSWERED
        except TimeoutError:
            # A queue that did not move in all that time is the log's silence too; a long one is not.
            crowded = call.phase is _Phase.QUEUE and lane.answered_since(begun_s)
            call.ending = _Ending.NOT_TRIED if crowded else _Ending.SILENT
            raise self._timed_out(call) from None
        except LogError as error:
            call.ending = _Ending.NOT_TRIED if error.retryable else _Ending.ANSWERED
            raise
        except BridgeError:
            call.ending = _Ending.ANSWERED
            raise
        finally:
            self._conclude(permit, call)
        return result

    async def look(
        self, request: Callable[[IggyClient], Awaitable[_T]], operation: Operation, deadline: Deadline
    ) -> _T:
        """What *request* reads, over the one client for streams and topics."""
        return await self.call(self.admin_lane, request, operation, write=False, deadline=deadline)

    async def request(
        self, code: int, body: bytes, operation: Operation, *, write: bool, deadline: Deadline
    ) -> bytes:
        """The reply to a request that the SDK has no method for."""
        return await self.call(
            self.read_lane,
            lambda client: client.send_binary_request(code, body),
            operation,
            write=write,
            deadline=deadline,
        )

    async def probe(self, *, deadline: Deadline) -> None:
        """A sign of life over a client of its own, whatever the breaker says; a dead connection is made again.

        Raises:
            LogError: if there is none.
        """
        given_s = deadline.remaining_s()
        permit = self._connection.breaker.admit(self._connection.clock.monotonic_s())
        self._connection.tell_breaker()
        call = _Call(Operation.STREAM, write=False, time=CallTime(self._times, deadline))
        try:
            with call.time:
                await self._until_answered(self._connection.probe_lane, lambda client: client.ping(), call)
            call.ending = _Ending.ANSWERED
        except TimeoutError:
            call.ending = _Ending.SILENT
            # One that waited for the connection, or for its turn, has hardly asked anybody.
            asked = call.phase in (_Phase.DIAL, _Phase.HANDED_OVER)
            if asked and self._connection.clock.monotonic_s() - call.begun_s >= given_s / 2:
                self._connection.lost(
                    self._connection.generation, "The Iggy server does not answer.", silent=True
                )
            raise self._timed_out(call) from None
        finally:
            if isinstance(permit, BreakerPermit):
                self._conclude(permit, call)

    def too_late(self) -> LogError:
        """For a read whose time is up and that was never asked: for want of time, or of a connection."""
        if self._connection.ready:
            return DeadlineExceeded()
        return Disconnected(retry_after_ms=self._retry_after_ms())

    def contradicted(self) -> None:
        """The node answers as if it lagged behind itself: ask another one."""
        connection = self._connection
        connection.lost(connection.generation, "The Iggy server contradicts itself.", silent=True)

    def close(self) -> None:
        """Ask no more whether the server lives."""
        if self._doubt is not None:
            self._doubt.cancel()

    def _begin_doubt(self) -> None:
        """A request got no answer for long: find out whether any would."""
        if self._doubt is None or self._doubt.done():
            self._doubt = asyncio.get_running_loop().create_task(self._ask_for_life(), name="iggy probe")

    async def _ask_for_life(self) -> None:
        # What it finds out is told by the state of the connection.
        with suppress(LogError):
            await self.probe(deadline=Deadline.after(limits.IGGY_PROBE_S, self._connection.clock))

    def _admit(self, call: _Call) -> BreakerPermit:
        permit = self._connection.breaker.admit(self._connection.clock.monotonic_s())
        self._connection.tell_breaker()
        if isinstance(permit, Refused):
            raise CircuitOpen(outcome=call.not_written, retry_after_ms=permit.retry_after_ms)
        return permit

    def _conclude(self, permit: BreakerPermit, call: _Call) -> None:
        breaker = self._connection.breaker
        match call.ending:
            case _Ending.ANSWERED:
                breaker.succeeded(permit)
            case _Ending.SILENT:
                breaker.failed(permit, self._connection.clock.monotonic_s())
            case _Ending.NOT_TRIED if permit.probe:
                breaker.failed(permit, self._connection.clock.monotonic_s())
            case _:
                breaker.abandoned(permit)
        self._connection.tell_breaker()

    def _timed_out(self, call: _Call) -> LogError:
        if call.phase is _Phase.HANDED_OVER:
            return DeadlineExceeded(outcome=Outcome.UNKNOWN if call.write else None)
        # It never left: for want of a server that answers, or of a turn.
        if call.ending is _Ending.SILENT:
            return self._disconnected(call)
        return DeadlineExceeded(outcome=call.not_written)

    def _disconnected(self, call: _Call) -> LogError:
        return Disconnected(outcome=call.not_written, retry_after_ms=self._retry_after_ms())

    def _retry_after_ms(self) -> int:
        wait_s = self._connection.next_dial_at_s - self._connection.clock.monotonic_s()
        return max(1000, round(wait_s * 1000))

    async def _until_answered(
        self, lane: Lane, request: Callable[[IggyClient], Awaitable[_T]], call: _Call
    ) -> _T:
        repeats = 0
        while True:
            if self._connection.state is not State.CONNECTED:
                await self._connected(call)
            call.phase = _Phase.QUEUE
            slot = await lane.acquire(write=call.write)
            try:
                # The connection may have gone while this request queued.
                if self._connection.state is State.CONNECTED:
                    return await self._over(slot, request, call)
            except _Again as again:
                repeats += 1
                if repeats > limits.IGGY_REPEATS_MAX and not again.pause_s:
                    raise again.error from None
                pause_s = again.pause_s
            else:
                pause_s = 0.0
            finally:
                lane.release(slot)
            call.phase = _Phase.QUEUE
            if pause_s:
                await asyncio.sleep(pause_s)

    async def _connected(self, call: _Call) -> None:
        """Wait for the connection; before the very first one hardly at all."""
        if self._waiting >= limits.IGGY_RECONNECT_WAITERS_MAX:
            raise Overloaded(outcome=call.not_written, retry_after_ms=1000)
        call.phase = _Phase.CONNECTION
        self._waiting += 1
        try:
            while self._connection.state is not State.CONNECTED:
                if self._connection.state in (State.EXHAUSTED, State.CLOSED):
                    raise ConnectionFailed(outcome=call.not_written)
                if self._connection.state is State.CONNECTING:
                    async with asyncio.timeout(limits.IGGY_FIRST_CONNECT_WAIT_S):
                        await self._connection.gate.wait()
                else:
                    await self._connection.gate.wait()
        except TimeoutError:
            raise ConnectionFailed(outcome=call.not_written, retry_after_ms=1000) from None
        finally:
            self._waiting -= 1

    async def _over(self, slot: Slot, request: Callable[[IggyClient], Awaitable[_T]], call: _Call) -> _T:
        """One try over *slot*; its client is left behind where it must not be used again."""
        connection = self._connection
        call.phase = _Phase.DIAL
        call.begun_s = connection.clock.monotonic_s()
        generation = connection.generation
        # Of a node that hangs a dial hears as little as a request.
        call.time.ask(call.begun_s)
        try:
            client = slot.client or await self._new_client(slot, call)
            if call.write and connection.clock.monotonic_s() - slot.used_at_s > limits.IGGY_IDLE_S:
                await connection.calls.answer(client.ping(), slot)
            # The SDK writes at the call, not at the await; a timeout of 0 would strike only after it.
            if not call.time.deadline.remaining_s():
                raise DeadlineExceeded(outcome=call.not_written)
            begun = request(client)
            call.phase = _Phase.HANDED_OVER
            result = await connection.calls.answer(begun, slot)
        except asyncio.CancelledError:
            slot.client = None
            raise
        except (RuntimeError, ValueError, OverflowError) as error:
            raise self._failed(slot, generation, call, str(error)) from None
        finally:
            call.time.silent_at = None
        slot.used_at_s = connection.clock.monotonic_s()
        return result

    def _failed(self, slot: Slot, generation: int, call: _Call, text: str) -> Exception:
        written = call.write and call.phase is _Phase.HANDED_OVER
        fault = explain(text, call.operation, write=written)
        if fault.connection_lost:
            slot.client = None
            self._connection.lost(generation, "The connection to the Iggy server broke.")
        if fault.verdict is Verdict.UNEXPLAINED:
            _log.error(
                "iggy_unexplained", operation=call.operation.value, fault=text[: limits.LOG_FIELD_CHARS_MAX]
            )
        if fault.repeatable:
            if written and call.not_done is not None:
                call.not_done()
            pause_s = _NOT_ACCEPTED_PAUSE_S if fault.verdict is Verdict.NOT_ACCEPTED else 0.0
            return _Again(_with_outcome(fault.error, call), pause_s)
        return fault.error

    async def _new_client(self, slot: Slot, call: _Call) -> IggyClient:
        connection = self._connection
        if len(connection.calls) >= limits.IGGY_CALLS_ABANDONED_MAX:
            raise Overloaded(outcome=call.not_written, retry_after_ms=1000)
        generation = connection.generation
        result = await connection.dial(slot)
        if isinstance(result, Refusal):
            connection.lost(generation, result.detail, silent=result.silent)
            raise _Again(ConnectionFailed(outcome=call.not_written))
        if generation != connection.generation:
            # Made for a connection that is gone; its socket goes with it.
            raise _Again(self._disconnected(call))
        slot.client, slot.generation = result.client, generation
        slot.used_at_s = connection.clock.monotonic_s()
        return result.client


def _with_outcome(error: BridgeError, call: _Call) -> BridgeError:
    """A try that surely wrote nothing says so even where it broke before the write was handed over."""
    if call.write and isinstance(error, LogError) and error.outcome is None:
        error.outcome = Outcome.NOT_WRITTEN
    return error
