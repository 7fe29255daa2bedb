"""
Requests to Iggy, carried over the clients of one connection (shell).

One request at a time is handed to a client (of the SDK, or a `Line`), under the caller's own deadline. What is handed over
cannot be taken back: when the caller gives up, the SDK's call runs on and holds its client, and a line owes an answer that
nobody waits for; so the one is left behind, the other cut, and either replaced.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

import structlog

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
from bridge.iggy.breaker import Permit, Refused
from bridge.iggy.client import Refusal
from bridge.iggy.connection import IggyConnection
from bridge.iggy.faults import Fault, Operation, Verdict, explain
from bridge.iggy.line import Line
from bridge.iggy.pool import Lane, Slot
from bridge.iggy.state import State

__all__ = ("IggySession",)

_T = TypeVar("_T")
_C = TypeVar("_C")
_log = structlog.get_logger("bridge.iggy")

# Between two tries of a request that the server did not admit: a new topic takes about 50 ms to be ready.
_NOT_ACCEPTED_PAUSE_S = 0.02


class _Phase(Enum):
    """How far a request came; decides what its end by timeout means."""

    CONNECTION = auto()
    QUEUE = auto()
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
    deadline: Deadline
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
    """Requests over one connection."""

    def __init__(self, connection: IggyConnection) -> None:
        self._connection = connection
        self._waiting = 0

    async def call(
        self,
        lane: Lane[_C],
        request: Callable[[_C], Awaitable[_T]],
        operation: Operation,
        *,
        write: bool,
        deadline: Deadline,
    ) -> _T:
        """
        The SDK's answer to *request*, made when the connection is there and a client of *lane* is free.

        Repeated within the deadline where it is a read or surely was not written; never where nobody knows.

        Raises:
            BridgeError: what the SDK's text means, see `faults`.
            CircuitOpen, Disconnected, ConnectionFailed, Overloaded, DeadlineExceeded: as `MessageLog` says.
        """
        call = _Call(operation, write, deadline)
        permit = self._admit(call)
        begun_s = self._connection.clock.monotonic_s()
        try:
            async with asyncio.timeout(deadline.remaining_s()):
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

    def understood(
        self, slot: Slot[Any], generation: int, text: str, operation: Operation, *, write: bool
    ) -> Fault:
        """What *text* from the client of *slot* means; let go of it where it must not be used again."""
        fault = explain(text, operation, write=write)
        if fault.connection_lost:
            slot.let_go()
            self._connection.lost(generation, "The connection to the Iggy server broke.")
        if fault.verdict is Verdict.UNEXPLAINED:
            _log.error(
                "iggy_unexplained", operation=operation.value, fault=text[: limits.LOG_FIELD_CHARS_MAX]
            )
        return fault

    async def probe(self, deadline: Deadline) -> None:
        """
        A sign of life over the administration's client, whatever the breaker says; a dead connection is made again.

        Raises:
            LogError: if there is none.
        """
        generation = self._connection.generation
        permit = self._connection.breaker.admit(self._connection.clock.monotonic_s())
        self._connection.tell_breaker()
        call = _Call(Operation.STREAM, write=False, deadline=deadline)
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await self._until_answered(self._connection.admin_lane, lambda client: client.ping(), call)
            call.ending = _Ending.ANSWERED
        except TimeoutError:
            call.ending = _Ending.SILENT
            self._connection.lost(generation, "The Iggy server does not answer.")
            raise self._timed_out(call) from None
        finally:
            if isinstance(permit, Permit):
                self._conclude(permit, call)

    def _admit(self, call: _Call) -> Permit:
        permit = self._connection.breaker.admit(self._connection.clock.monotonic_s())
        self._connection.tell_breaker()
        if isinstance(permit, Refused):
            raise CircuitOpen(outcome=call.not_written, retry_after_ms=permit.retry_after_ms)
        return permit

    def _conclude(self, permit: Permit, call: _Call) -> None:
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
        if call.phase is _Phase.CONNECTION:
            return self._disconnected(call)
        handed_over = call.phase is _Phase.HANDED_OVER
        outcome = Outcome.UNKNOWN if call.write and handed_over else call.not_written
        return DeadlineExceeded(outcome=outcome)

    def _disconnected(self, call: _Call) -> LogError:
        wait_s = self._connection.next_dial_at_s - self._connection.clock.monotonic_s()
        return Disconnected(outcome=call.not_written, retry_after_ms=max(1000, round(wait_s * 1000)))

    async def _until_answered(
        self, lane: Lane[_C], request: Callable[[_C], Awaitable[_T]], call: _Call
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
                    return await self._over(lane, slot, request, call)
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

    async def _over(
        self, lane: Lane[_C], slot: Slot[_C], request: Callable[[_C], Awaitable[_T]], call: _Call
    ) -> _T:
        """One try over *slot*; its client is replaced where it must not be used again."""
        client = await self._client(lane, slot, call)
        generation = slot.generation
        try:
            if call.write and self._connection.clock.monotonic_s() - slot.used_at_s > limits.IGGY_IDLE_S:
                await self._answer(client, client.ping())  # type: ignore[attr-defined]
            # The SDK writes at the call, not at the await; a timeout of 0 would strike only after it.
            if not call.deadline.remaining_s():
                raise DeadlineExceeded(outcome=call.not_written)
            call.phase = _Phase.HANDED_OVER
            result = await self._answer(client, request(client))
        except asyncio.CancelledError:
            slot.give_up()
            raise
        except (RuntimeError, ValueError, OverflowError) as error:
            raise self._failed(slot, generation, call, str(error)) from None
        slot.used_at_s = self._connection.clock.monotonic_s()
        return result

    async def _answer(self, client: object, call: Awaitable[_T]) -> _T:
        # Ours is nobody else's and may be cancelled; the SDK's runs on.
        return await (call if isinstance(client, Line) else self._connection.calls.answer(call))

    def _failed(self, slot: Slot[Any], generation: int, call: _Call, text: str) -> Exception:
        written = call.write and call.phase is _Phase.HANDED_OVER
        fault = self.understood(slot, generation, text, call.operation, write=written)
        if fault.repeatable:
            pause_s = _NOT_ACCEPTED_PAUSE_S if fault.verdict is Verdict.NOT_ACCEPTED else 0.0
            return _Again(_with_outcome(fault.error, call), pause_s)
        return fault.error

    async def _client(self, lane: Lane[_C], slot: Slot[_C], call: _Call) -> _C:
        client = slot.client
        if client is not None and not (isinstance(client, Line) and client.closed):
            return client
        if len(self._connection.calls) >= limits.IGGY_CALLS_ABANDONED_MAX:
            raise Overloaded(outcome=call.not_written, retry_after_ms=1000)
        call.phase = _Phase.DIAL
        generation = self._connection.generation
        result = await self._connection.dial(lane, timeout_s=limits.IGGY_CONNECT_TIMEOUT_S)
        if isinstance(result, Refusal):
            self._connection.lost(generation, result.detail)
            raise _Again(ConnectionFailed(outcome=call.not_written))
        if generation != self._connection.generation:
            raise _Again(self._disconnected(call))
        slot.client, slot.generation = result.client, generation
        slot.used_at_s = self._connection.clock.monotonic_s()
        found: _C = result.client
        return found


def _with_outcome(error: BridgeError, call: _Call) -> BridgeError:
    """A try that surely wrote nothing says so even where it broke before the write was handed over."""
    if call.write and isinstance(error, LogError) and error.outcome is None:
        error.outcome = Outcome.NOT_WRITTEN
    return error
