"""What is promised while more comes than can be done: a quick no with all that belongs to an answer, and probes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.clock import Deadline, SystemClock
from bridge.config import HttpConfig
from bridge.policy.admission import Admission, Grant
from bridge.web.rules import RULES
from bridge.web.server.turns_in_line import Turns
from tests.support.clock import FakeClock
from tests.support.door import Door, open_door, row
from tests.support.figures import figure, total
from tests.support.raw_http import RawConnection, ask, request_bytes

TWO_PLACES = HttpConfig(rate_limit_rps=1000, rate_limit_burst=1000, in_flight_requests_max=2)
JSON = "Content-Type: application/json"


class Gate:
    """A handler that holds its place until it is let go."""

    def __init__(self) -> None:
        self.inside = 0
        self.entered = asyncio.Condition()
        self.go = asyncio.Event()

    async def handle(self, _: web.Request) -> web.StreamResponse:
        async with self.entered:
            self.inside += 1
            self.entered.notify_all()
        await self.go.wait()
        return web.json_response({"ok": True})

    async def until(self, count: int) -> None:
        async with self.entered:
            await self.entered.wait_for(lambda: self.inside >= count)


Opened = Callable[[Door], Awaitable[RawConnection]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Opens connections that are closed at the end."""
    connections: list[RawConnection] = []

    async def open_one(door: Door) -> RawConnection:
        connections.append(await RawConnection.open(door.port))
        return connections[-1]

    yield open_one
    for connection in connections:
        connection.close()
    await asyncio.sleep(0)


async def filled(door: Door, gate: Gate, opened: Opened) -> list[RawConnection]:
    """Take both places."""
    connections = [await opened(door) for _ in range(2)]
    for connection in connections:
        await connection.send(request_bytes("GET", "/gate"))
    await gate.until(2)
    return connections


async def waiting(door: Door, count: int) -> None:
    """Until so many wait for a place."""
    while door.runner.app[RULES].admission.waiting != count:  # noqa: ASYNC110 (an event would cost each request)
        await asyncio.sleep(0)


@asynccontextmanager
async def two_at_a_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A bridge that works on two requests and holds more, however late its loop is."""
    http = HttpConfig(rate_limit_rps=0, in_flight_requests_max=10)
    async with open_door(row("GET", "/gate", gate.handle), http=http) as door:
        admission = door.runner.app[RULES].admission
        admission.bound = 2
        monkeypatch.setattr(admission, "lagged", lambda _: None)
        yield door
        gate.go.set()


async def emptied(door: Door) -> None:
    """Until every place is given back."""
    while door.runner.app[RULES].admission.in_flight:  # noqa: ASYNC110 (an event would cost each request)
        await asyncio.sleep(0)


async def test_a_request_beyond_the_bound_is_refused_with_everything_an_answer_carries(
    opened: Opened,
) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=TWO_PLACES) as door:
        inside = await filled(door, gate, opened)
        read = await ask(door.port, request_bytes("GET", "/things/a", "X-Request-Id: mine"))
        assert read.status == 503
        assert read.header("Retry-After") == "1"
        assert read.header("X-Request-Id") == "mine"
        assert read.header("X-Effective-Timeout") == "30000"
        assert read.header("RateLimit-Policy")
        assert read.header("RateLimit")
        told = read.problem()
        assert told["error"] == "overloaded"
        assert told["retryable"] is True
        assert told["retry_after_ms"] == 1000
        assert "outcome" not in told
        written = await ask(door.port, request_bytes("POST", "/things/a", JSON, body=b"{}"))
        assert written.status == 503
        assert written.problem()["outcome"] == "not_written"
        assert not [info for info, _ in door.seen if "name" in info]
        gate.go.set()
        for connection in inside:
            assert (await connection.answer()).status == 200
        assert (await ask(door.port, request_bytes("POST", "/things/a", JSON, body=b"{}"))).status == 201
        assert total(door.services.metrics.http.overloaded) == 2


async def test_who_finds_no_place_waits_for_one(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    async with two_at_a_time(gate, monkeypatch) as door:
        await filled(door, gate, opened)
        asked = [await opened(door) for _ in range(2)]
        whole = request_bytes("POST", "/things/slow", JSON, body=b'{"a":1}')
        await asked[0].send(request_bytes("GET", "/things/a"))
        await asked[1].send(whole[:-3])
        await asked[1].send(whole[-3:])
        await waiting(door, 2)
        door.services.metrics.live.ask()
        assert figure(door.services.metrics, "bridge_http_requests_waiting") == 2
        gate.go.set()
        assert [(await connection.answer()).status for connection in asked] == [200, 201]
        assert total(door.services.metrics.http.overloaded) == 0
        await emptied(door)


@pytest.mark.parametrize("split", [0, -3], ids=["whole", "body later"])
async def test_who_has_waited_for_long_enough_is_refused(
    split: int, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.server.turns_in_line.ADMISSION_WAIT_S", 0.01)
    gate = Gate()
    async with two_at_a_time(gate, monkeypatch) as door:
        await filled(door, gate, opened)
        connection = await opened(door)
        whole = request_bytes("POST", "/things/a", JSON, body=b'{"a":1}')
        await connection.send(whole[: split or None])
        if split:
            await connection.send(whole[split:])
        answer = await connection.answer()
        told = answer.problem()
        assert (answer.status, told["error"], told["outcome"]) == (503, "overloaded", "not_written")
        assert door.runner.app[RULES].admission.waiting == 0
        assert not [info for info, _ in door.seen if "name" in info]


async def test_each_of_those_who_wait_is_refused_when_its_own_time_is_up(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.server.turns_in_line.ADMISSION_WAIT_S", 0.05)
    gate = Gate()
    async with two_at_a_time(gate, monkeypatch) as door:
        await filled(door, gate, opened)
        asked = [await opened(door) for _ in range(3)]
        for count, connection in enumerate(asked, 1):
            await connection.send(request_bytes("GET", "/things/a"))
            await waiting(door, count)
        assert [(await connection.answer()).status for connection in asked] == [503] * 3
        assert door.runner.app[RULES].admission.waiting == 0


async def test_who_has_no_time_to_wait_is_refused_at_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with two_at_a_time(gate, monkeypatch) as door:
        await filled(door, gate, opened)
        in_a_hurry = request_bytes("GET", "/things/a", "X-Request-Timeout: 900")
        assert (await ask(door.port, in_a_hurry)).status == 503


async def test_who_waits_when_all_requests_are_ended_leaves_the_line(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with two_at_a_time(gate, monkeypatch) as door:
        inside = await filled(door, gate, opened)
        connection = await opened(door)
        await connection.send(request_bytes("POST", "/things/a", JSON, body=b"{}"))
        await waiting(door, 1)
        door.services.lifecycle.end_requests()
        for each in (*inside, connection):
            assert (await each.answer()).problem()["error"] == "connection_failed"
        admission = door.runner.app[RULES].admission
        assert (admission.in_flight, admission.waiting) == (0, 0)


async def test_a_place_that_comes_free_for_who_was_just_cancelled_is_free_for_the_next() -> None:
    admission = Admission(requests_max=10, bytes_max=1)
    admission.bound = 1
    assert admission.enter()
    line = Turns()
    turns = [
        asyncio.ensure_future(line.place(Grant(admission), Deadline.after(30, SystemClock())))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    assert admission.waiting == 2
    turns[0].cancel()
    admission.leave()
    with pytest.raises(asyncio.CancelledError):
        await turns[0]
    assert await turns[1]
    assert (admission.in_flight, admission.waiting) == (1, 0)


def crowded_with_refusals(door: Door) -> None:
    """From now on who is refused rests for some three seconds."""
    pace = door.runner.app[RULES].admission.refusals
    now_s = door.services.clock.monotonic_s()
    while pace.next_rest_s(now_s) < 2.5:
        pace.rest_s(now_s)


async def test_a_refusal_says_when_its_connection_is_read_again(opened: Opened) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=TWO_PLACES) as door:
        await filled(door, gate, opened)
        crowded_with_refusals(door)
        answer = await ask(door.port, request_bytes("GET", "/things/a"))
        assert answer.header("Retry-After") == "3"
        gate.go.set()


async def test_who_is_refused_by_the_rate_limit_is_told_when_the_connection_is_read_again() -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=1, rate_limit_burst=1)) as door:
        assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 200
        crowded_with_refusals(door)
        answer = await ask(door.port, request_bytes("GET", "/things/a"))
        assert (answer.status, answer.header("Retry-After")) == (429, "3")
        assert 2000 < json.loads(answer.body)["retry_after_ms"] <= 3000


async def test_probes_pass_while_everything_else_is_refused(opened: Opened) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=TWO_PLACES) as door:
        await filled(door, gate, opened)
        for path in ("/health", "/ready"):
            assert (await ask(door.port, request_bytes("GET", path))).status == 200
        for path in ("/health?a", "/health/", "/things/a"):
            assert (await ask(door.port, request_bytes("GET", path))).status == 503
        gate.go.set()


async def test_a_refused_connection_is_kept_and_answers_again(opened: Opened) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=TWO_PLACES) as door:
        await filled(door, gate, opened)
        connection = await opened(door)
        for _ in range(3):
            await connection.send(request_bytes("GET", "/things/a"))
            refused = await connection.answer()
            assert refused.status == 503
            assert refused.header("Connection") is None
        gate.go.set()
        await emptied(door)
        await connection.send(request_bytes("GET", "/things/a"))
        assert (await connection.answer()).status == 200


async def test_bodies_that_come_slowly_keep_nobody_out(opened: Opened) -> None:
    async with open_door(http=TWO_PLACES) as door:
        slow = [await opened(door) for _ in range(10)]
        whole = request_bytes("POST", "/things/slow", JSON, body=b'{"a":1}')
        for connection in slow:
            await connection.send(whole[:-3])
        assert (await ask(door.port, request_bytes("POST", "/things/a", JSON, body=b"{}"))).status == 201
        for connection in slow:
            await connection.send(whole[-3:])
            assert (await connection.answer()).status == 201


async def test_a_body_that_is_complete_takes_a_place_or_is_refused(opened: Opened) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=TWO_PLACES) as door:
        slow = await opened(door)
        whole = request_bytes("POST", "/things/slow", JSON, body=b'{"a":1}')
        await slow.send(whole[:-3])
        await filled(door, gate, opened)
        await slow.send(whole[-3:])
        answer = await slow.answer()
        assert answer.status == 503
        assert answer.problem()["outcome"] == "not_written"
        assert total(door.services.metrics.http.overloaded) == 1
        gate.go.set()


async def test_bodies_are_held_up_to_the_bound_on_bytes_and_given_back(opened: Opened) -> None:
    http = HttpConfig(rate_limit_rps=0, in_flight_body_bytes_max=1024 * 1024)
    async with open_door(http=http) as door:
        admission = door.runner.app[RULES].admission
        first = await opened(door)
        body = b'"' + b"x" * 1_000_000 + b'"'
        whole = request_bytes("POST", "/things/first", JSON, body=body)
        await first.send(whole[:-1])
        # All of it is there but the end: a request on another connection is answered after that was read.
        while admission.held_bytes < len(body) - 1:
            assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 200
        second = await ask(door.port, request_bytes("POST", "/things/second", JSON, body=body))
        assert second.status == 503
        assert second.problem()["error"] == "overloaded"
        await first.send(whole[-1:])
        assert (await first.answer()).status == 201
        assert admission.held_bytes == 0
        assert admission.in_flight == 0
        assert (await ask(door.port, request_bytes("POST", "/things/second", JSON, body=body))).status == 201


@pytest.mark.parametrize(
    "http, status",
    [(TWO_PLACES, 503), (HttpConfig(rate_limit_rps=1, rate_limit_burst=2), 429)],
    ids=["no place", "rate limit"],
)
async def test_after_a_refusal_and_only_then_a_connection_rests(
    http: HttpConfig, status: int, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with open_door(row("GET", "/gate", gate.handle), http=http, clock=FakeClock()) as door:
        rests: list[float] = []

        async def rest() -> None:
            rests.append(0.0)

        monkeypatch.setattr(door.runner.server, "rest", rest)
        connection = await opened(door)
        await filled(door, gate, opened)
        for asked in ("/health", "/things/a", "/things/a", "/health"):
            await connection.send(request_bytes("GET", asked))
            answer = await connection.answer()
            assert answer.status == (200 if asked == "/health" else status)
        assert len(rests) == 2
        gate.go.set()
