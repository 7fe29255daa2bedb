from contextlib import ExitStack, suppress

from bridge.limits import LIVE_HEARTBEAT_S
from bridge.web.live.heartbeats import Heartbeats
from tests.support.clock import FakeClock
from tests.support.timers import FakeTimers


class Stream:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.beaten_s: list[float] = []

    def beat(self) -> None:
        self.beaten_s.append(self._clock.monotonic_s())


async def test_each_stream_is_looked_at_twice_in_the_longest_silence() -> None:
    clock = FakeClock()
    timers = FakeTimers(clock)
    beats = Heartbeats(clock, timers=timers)
    one, other = Stream(clock), Stream(clock)
    with beats.beating(one):
        await timers.pass_s(3)
        with beats.beating(other):
            await timers.pass_s(60)
    for stream in (one, other):
        gaps_s = [b - a for a, b in zip(stream.beaten_s, stream.beaten_s[1:], strict=False)]
        assert len(gaps_s) >= 7
        # Silent from just after one look until the one after the next.
        assert 2 * max(gaps_s) <= LIVE_HEARTBEAT_S
    assert one.beaten_s[0] - 1000 <= LIVE_HEARTBEAT_S / 2


async def test_there_is_one_timer_however_many_streams_and_none_without_any() -> None:
    clock = FakeClock()
    timers = FakeTimers(clock)
    beats = Heartbeats(clock, timers=timers)
    with ExitStack() as stack:
        streams = [Stream(clock) for _ in range(100)]
        for stream in streams:
            stack.enter_context(beats.beating(stream))
        assert len(timers.delays_s) == 1
        await timers.pass_s(LIVE_HEARTBEAT_S)
        assert len(timers.delays_s) == 1
        assert all(len(stream.beaten_s) == 2 for stream in streams)
    assert timers.delays_s == []
    assert not list(beats._due_s)


async def test_a_stream_that_ends_while_others_are_looked_at_is_no_harm() -> None:
    clock = FakeClock()
    timers = FakeTimers(clock)
    beats = Heartbeats(clock, timers=timers)
    late = ExitStack()

    class Ends(Stream):
        def beat(self) -> None:
            super().beat()
            late.close()

    ends, other = Ends(clock), Stream(clock)
    with beats.beating(ends):
        late.enter_context(beats.beating(other))
        await timers.pass_s(LIVE_HEARTBEAT_S / 2)
        assert (len(ends.beaten_s), list(beats._due_s)) == (1, [ends])


async def test_a_beat_that_fails_keeps_no_other_stream_from_beating() -> None:
    clock = FakeClock()
    timers = FakeTimers(clock)
    beats = Heartbeats(clock, timers=timers)

    class Fails(Stream):
        def beat(self) -> None:
            raise RuntimeError("the handler is closed")

    one, other = Fails(clock), Stream(clock)
    with beats.beating(one), beats.beating(other):
        for _ in range(60):
            with suppress(RuntimeError):
                await timers.pass_s(1)
    assert len(other.beaten_s) >= 60 // LIVE_HEARTBEAT_S
