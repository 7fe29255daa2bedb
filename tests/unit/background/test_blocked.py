"""Claims of `background.blocked`."""

import threading

from bridge.background.blocked import Blocked, looking
from tests.support.clock import FakeClock


def at_work(blocked: Blocked) -> list[str]:
    blocked.look()
    return blocked.stack()


def watched(clock: FakeClock) -> Blocked:
    blocked = Blocked(clock, threading.get_ident(), late_s=0.5)
    blocked.expect(0.25)
    return blocked


def test_who_is_late_is_seen_where_it_is_from_the_inside_out() -> None:
    clock = FakeClock()
    blocked = watched(clock)
    clock.advance(0.74)
    assert at_work(blocked) == []
    clock.advance(0.01)
    inner, outer, *_ = [each for each in at_work(blocked) if each.startswith(__file__)]
    assert inner.endswith(" at_work")
    assert outer.endswith(" test_who_is_late_is_seen_where_it_is_from_the_inside_out")


def test_where_it_was_is_kept_until_it_is_back_and_looked_at_once() -> None:
    clock = FakeClock()
    blocked = watched(clock)
    clock.advance(1.0)
    seen = at_work(blocked)
    blocked.look()
    assert blocked.stack() is seen
    blocked.expect(0.25)
    assert at_work(blocked) == []


def test_a_thread_looks_while_the_other_is_blocked() -> None:
    looked = threading.Event()

    class Told(Blocked):
        def look(self) -> None:
            super().look()
            looked.set()

    clock = FakeClock()
    blocked = Told(clock, threading.get_ident(), late_s=0.0)
    with looking(blocked):
        blocked.expect(0.0)
        looked.clear()
        looked.wait()
    assert any(each.endswith(" wait") for each in blocked.stack())
    for thread in threading.enumerate():
        if thread.name == "loop-watch":
            thread.join()
