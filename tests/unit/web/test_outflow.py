"""One budget and one timer for all connections that are full."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.limits import WRITE_PATIENCE_S
from bridge.policy.slow_clients import MinimumRate
from bridge.web.server.outflow import Outflow, bound_unsent, write_pace
from tests.support.clock import FakeClock
from tests.support.timers import FakeTimers, settled


class Pipe:
    """A connection whose other end takes what a test says."""

    def __init__(self, size_bytes: int, *, beside_bytes: int = 0) -> None:
        self.left_bytes = size_bytes
        self.also_held_bytes = beside_bytes
        self.pace: MinimumRate = write_pace()
        self.is_cut = False

    def waiting_bytes(self) -> int:
        return self.left_bytes

    def cut(self) -> None:
        self.is_cut = True


class Scene:
    def __init__(self, *, bytes_max: int = 10**9) -> None:
        self.timers = FakeTimers(FakeClock())
        self.outflow = Outflow(self.timers.clock, timers=self.timers, bytes_max=bytes_max)
        self.cut: list[str] = []
        self.outflow.on_cut = self.cut.append


async def test_who_takes_nothing_is_cut_when_patience_ends() -> None:
    scene, pipe = Scene(), Pipe(100_000)
    scene.outflow.full(pipe)
    await scene.timers.pass_s(WRITE_PATIENCE_S - 1)
    assert not pipe.is_cut
    await scene.timers.pass_s(1)
    assert pipe.is_cut
    assert (scene.cut, len(scene.outflow), scene.outflow.held_bytes) == (["too_slow"], 0, 0)
    assert scene.timers.delays_s == []


async def test_who_takes_some_is_not_cut_and_when_all_are_done_no_timer_is_left() -> None:
    scene, pipe = Scene(), Pipe(4_000_000)
    scene.outflow.full(pipe)
    for _ in range(100):
        await scene.timers.pass_s(1)
        pipe.left_bytes -= 20_000
    scene.outflow.freed(pipe)
    assert (pipe.is_cut, scene.timers.delays_s) == (False, [])
    await scene.timers.pass_s(1000)
    assert scene.cut == []


async def test_what_is_held_beside_what_was_written_counts() -> None:
    scene = Scene()
    scene.outflow.full(Pipe(100, beside_bytes=900))
    assert (scene.outflow.held_bytes, len(scene.outflow)) == (1000, 1)


async def test_past_the_budget_the_slowest_is_cut_at_once_and_told_in_one_line() -> None:
    scene = Scene(bytes_max=1000)
    old, other, new = Pipe(500), Pipe(400), Pipe(450)
    scene.outflow.full(old)
    await scene.timers.pass_s(2)
    scene.outflow.full(other)
    with capture_logs() as lines:
        scene.outflow.full(new)
    assert scene.outflow.held_bytes == 850
    # In a turn of its own: something is just being written.
    assert not old.is_cut
    await settled()
    assert (old.is_cut, other.is_cut, new.is_cut, scene.cut) == (True, False, False, ["budget"])
    told: list[MutableMapping[str, Any]] = lines
    assert [(line["event"], line["reason"], line["cut"]) for line in told] == [
        ("slow_clients_cut", "budget", 1)
    ]


async def test_many_that_are_cut_are_told_in_one_line_a_second() -> None:
    scene = Scene(bytes_max=1000)
    with capture_logs() as lines:
        for _ in range(50):
            scene.outflow.full(Pipe(600))
        await scene.timers.pass_s(1)
        scene.outflow.full(Pipe(600))
    assert [line["cut"] for line in lines] == [1, 49]
    assert len(scene.cut) == 50


@pytest.mark.parametrize("has_socket", [True, False])
def test_a_transport_that_is_no_connection_of_the_kernel_is_left_as_it_is(has_socket: bool) -> None:
    class Refusing:
        def setsockopt(self, *_: object) -> None:
            raise OSError

    bound_unsent(asyncio.Transport({"socket": Refusing()} if has_socket else {}))
