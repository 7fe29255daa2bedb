"""How much may be in flight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import (
    ADMITTED_REQUESTS_MIN,
    ADMITTED_REQUESTS_START,
    LOOP_LATE_S,
    REFUSALS_PER_S_MAX,
    REFUSALS_PER_S_MIN,
    REFUSED_REST_S_MAX,
)
from bridge.policy.admission import Admission, Grant, RefusalPace


def test_there_are_as_many_places_as_configured_and_one_given_back_is_free_again() -> None:
    admission = Admission(requests_max=2, bytes_max=1)
    grants = [Grant(admission) for _ in range(3)]
    assert [grant.take_place() for grant in grants] == [True, True, False]
    grants[0].close()
    assert grants[2].take_place()
    assert admission.in_flight == 2


def test_a_request_has_one_place_however_often_it_asks_and_gives_it_back_once() -> None:
    admission = Admission(requests_max=2, bytes_max=1)
    grant = Grant(admission)
    assert grant.take_place()
    assert grant.take_place()
    assert admission.in_flight == 1
    grant.close()
    grant.close()
    assert admission.in_flight == 0


def test_bytes_beyond_the_bound_are_refused_until_others_are_given_back() -> None:
    admission = Admission(requests_max=9, bytes_max=100)
    first, second = Grant(admission, "192.0.2.1"), Grant(admission, "192.0.2.2")
    assert first.hold(60)
    assert second.hold(40)
    assert not second.hold(1)
    first.close()
    assert second.hold(60)
    assert admission.held_bytes == 100


def test_one_body_longer_than_the_bound_may_come_while_there_is_no_other() -> None:
    admission = Admission(requests_max=9, bytes_max=100)
    assert Grant(admission).hold(1000)
    assert not Grant(admission).hold(1)


def test_of_the_bytes_an_address_has_three_quarters_where_it_is_alone() -> None:
    admission = Admission(requests_max=9, bytes_max=100)
    grants = [Grant(admission, "2001:db8::1"), Grant(admission, "2001:db8::2")]
    held = [grant.hold(5) for _ in range(20) for grant in grants]
    assert 70 <= sum(held) * 5 <= 80
    other = Grant(admission, "192.0.2.2")
    assert other.hold(20)
    for grant in (*grants, other):
        grant.close()
    assert admission.held_bytes == 0


def test_of_the_places_beyond_the_first_an_address_has_four_fifths() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    many = [Grant(admission, "192.0.2.1") for _ in range(ADMITTED_REQUESTS_START)]
    placed = [grant for grant in many if grant.take_place()]
    beyond = ADMITTED_REQUESTS_START - ADMITTED_REQUESTS_MIN
    assert abs(len(placed) - ADMITTED_REQUESTS_MIN - beyond * 4 // 5) <= 1
    other = Grant(admission, "192.0.2.2")
    assert other.take_place()
    for grant in (*placed, other):
        grant.close()
    assert admission.in_flight == 0
    assert all(grant.take_place() for grant in placed)


def test_a_share_of_places_that_are_not_there_any_more_is_none() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    grants = [Grant(admission, str(number)) for number in range(ADMITTED_REQUESTS_START)]
    assert sum(grant.take_place() for grant in grants) == ADMITTED_REQUESTS_START
    assert not Grant(admission, "another").take_place()
    admission.lagged(LOOP_LATE_S * 2)
    grants[-1].close()
    # Fewer places than are taken: the share says so, or the bound does.
    assert not Grant(admission, "another").take_place()


def test_places_that_were_taken_before_it_was_crowded_count_against_the_bound() -> None:
    admission = Admission(requests_max=ADMITTED_REQUESTS_MIN + 2, bytes_max=1)
    first = [Grant(admission, str(number)) for number in range(ADMITTED_REQUESTS_MIN + 1)]
    assert all(grant.take_place() for grant in first)
    assert admission.enter()
    assert not Grant(admission, "another").take_place()
    assert admission.in_flight == admission.bound


def test_a_late_loop_lowers_the_bound_but_never_below_the_least() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    assert admission.bound == ADMITTED_REQUESTS_START
    admission.lagged(LOOP_LATE_S * 2)
    assert ADMITTED_REQUESTS_MIN < admission.bound < ADMITTED_REQUESTS_START
    for _ in range(100):
        admission.lagged(LOOP_LATE_S * 2)
    assert admission.bound == ADMITTED_REQUESTS_MIN


def test_the_bound_rises_only_while_somebody_is_refused_and_never_above_what_is_configured() -> None:
    admission = Admission(requests_max=600, bytes_max=1)
    admission.lagged(0.0)
    assert admission.bound == ADMITTED_REQUESTS_START
    bounds = []
    for _ in range(20):
        while admission.enter():
            pass
        admission.lagged(0.0)
        bounds.append(admission.bound)
    assert bounds[0] > ADMITTED_REQUESTS_START
    assert bounds == sorted(bounds)
    assert bounds[-1] == 600


def test_the_bound_falls_faster_than_it_rises_so_that_it_does_not_swing() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    admission.lagged(LOOP_LATE_S * 2)
    fallen_to = admission.bound
    looks = 0
    while admission.bound < ADMITTED_REQUESTS_START:
        admission._wanted = True
        admission.lagged(0.0)
        looks += 1
        assert admission.bound <= fallen_to * 1.04**looks + looks
    assert looks >= 8


def test_the_least_bound_rises_too() -> None:
    admission = Admission(requests_max=10, bytes_max=1)
    admission.bound = 1
    admission.enter()
    assert not admission.enter()
    admission.lagged(0.0)
    assert admission.bound == 2


def test_neither_late_nor_early_leaves_the_bound_where_it_is() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    while admission.enter():
        pass
    admission.lagged(LOOP_LATE_S * 0.75)
    assert admission.bound == ADMITTED_REQUESTS_START


def test_it_is_worth_looking_only_while_much_is_in_flight_or_somebody_was_refused() -> None:
    admission = Admission(requests_max=ADMITTED_REQUESTS_MIN, bytes_max=1)
    assert not admission.busy
    while admission.enter():
        pass
    assert admission.busy
    for _ in range(ADMITTED_REQUESTS_MIN):
        admission.leave()
    assert admission.busy
    admission.lagged(0.0)
    assert not admission.busy


class Line:
    """Those who wait for a place; `placed` names them in the order in which they got one."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.placed: list[str] = []

    def join(self, name: str, client: str) -> Grant | None:
        """*name* waits; None where it may not."""
        grant = Grant(self.admission, client)
        return grant if grant.wait(lambda: self.placed.append(name)) else None


def bounded_admission(bound: int, *, requests_max: int = 1000) -> Admission:
    """One that works on fewer requests than it holds, with every place taken."""
    admission = Admission(requests_max=requests_max, bytes_max=1)
    admission.bound = bound
    while admission.enter():
        pass
    return admission


def test_a_place_that_is_given_back_goes_to_who_has_waited_longest() -> None:
    admission = bounded_admission(2)
    line = Line(admission)
    grants = [line.join(name, "192.0.2.1") for name in "abc"]
    assert admission.waiting == 3
    admission.leave()
    assert (line.placed, admission.waiting, admission.in_flight) == (["a"], 2, 2)
    assert not Grant(admission, "192.0.2.1").take_place()
    assert grants[0] is not None
    grants[0].close()
    admission.leave()
    assert (line.placed, admission.waiting) == (["a", "b", "c"], 0)


def test_addresses_take_turns_however_many_wait_of_one() -> None:
    admission = bounded_admission(10)
    line = Line(admission)
    for name in ("a1", "a2", "a3", "a4"):
        line.join(name, "192.0.2.1")
    for name in ("b1", "b2"):
        line.join(name, "192.0.2.2")
    for _ in range(6):
        admission.leave()
    assert line.placed == ["a1", "b1", "a2", "b2", "a3", "a4"]


def test_who_waits_no_more_is_passed_over_and_makes_room() -> None:
    admission = bounded_admission(1)
    line = Line(admission)
    first, second = line.join("a", "192.0.2.1"), line.join("b", "192.0.2.1")
    assert first is not None
    assert second is not None
    first.close()
    assert admission.waiting == 1
    admission.leave()
    assert line.placed == ["b"]
    second.close()
    assert (admission.waiting, admission.in_flight) == (0, 0)


def test_of_the_room_to_wait_an_address_has_four_fifths_and_another_finds_some() -> None:
    admission = bounded_admission(64, requests_max=164)
    line = Line(admission)
    waiting = [line.join("a", "192.0.2.1") for _ in range(100)]
    assert sum(grant is not None for grant in waiting) == 80
    assert line.join("b", "192.0.2.2") is not None


def test_nobody_waits_where_as_many_are_held_as_may_be() -> None:
    admission = Admission(requests_max=2, bytes_max=1)
    assert all(admission.enter() for _ in range(2))
    assert Line(admission).join("a", "192.0.2.1") is None


def test_who_waits_counts_against_what_may_be_held() -> None:
    admission = bounded_admission(64, requests_max=66)
    line = Line(admission)
    assert line.join("a", "192.0.2.1") is not None
    assert line.join("b", "192.0.2.2") is not None
    # A place more than those who wait could have: their share of it is none yet, and nobody else is taken in.
    admission.bound = 65
    assert not Grant(admission, "192.0.2.3").take_place()
    assert admission.in_flight + admission.waiting == 66


def test_a_bound_that_rises_lets_in_who_waits() -> None:
    admission = bounded_admission(2)
    line = Line(admission)
    for name in "ab":
        line.join(name, "192.0.2.1")
    admission.lagged(0.0)
    assert (admission.bound, line.placed) == (3, ["a"])
    admission.lagged(0.0)
    assert (admission.bound, line.placed) == (4, ["a", "b"])
    admission.lagged(0.0)
    admission.lagged(0.0)
    assert admission.bound == 5


def test_who_waits_gets_no_more_than_the_share_of_its_address() -> None:
    admission = Admission(requests_max=10_000, bytes_max=1)
    while Grant(admission, "192.0.2.1").take_place():
        pass
    held = admission.in_flight
    assert held < admission.bound
    line = Line(admission)
    assert line.join("a", "192.0.2.1") is not None
    admission.lagged(LOOP_LATE_S * 0.75)
    assert line.placed == []
    admission.leave("192.0.2.1")
    assert (line.placed, admission.in_flight) == (["a"], held)


@given(st.lists(st.one_of(st.sampled_from("abcde"), st.floats(0, 1)), max_size=200), st.integers(1, 2000))
def test_what_is_held_never_passes_what_is_configured(steps: list[str | float], requests_max: int) -> None:
    admission = Admission(requests_max=requests_max, bytes_max=1)
    line = Line(admission)
    grants: list[Grant] = []
    for step in steps:
        if isinstance(step, float):
            admission.lagged(step)
        elif step == "a" and grants:
            grants.pop(len(grants) // 2).close()
        else:
            grant = Grant(admission, step)
            if grant.take_place() or grant.wait(lambda: line.placed.append("")):
                grants.append(grant)
        assert 0 <= admission.in_flight + admission.waiting <= requests_max
        assert 1 <= admission.bound <= requests_max
        assert not admission.waiting or admission.in_flight >= min(
            admission.bound, ADMITTED_REQUESTS_MIN, requests_max
        )
    for grant in grants:
        grant.close()
    assert (admission.in_flight, admission.waiting) == (0, 0)


def test_a_refusal_now_and_then_costs_its_connection_no_rest() -> None:
    pace = RefusalPace()
    assert [pace.rest_s(float(second)) for second in range(1, 100)] == [0.0] * 99


def test_refusals_at_one_moment_rest_so_that_they_come_at_the_pace() -> None:
    pace = RefusalPace()
    rests_s = [pace.rest_s(1.0) for _ in range(REFUSALS_PER_S_MAX + 1)]
    assert rests_s == sorted(rests_s)
    assert abs(rests_s[-1] - 1.0) < 1e-6


def test_no_rest_is_longer_than_the_longest() -> None:
    pace = RefusalPace()
    assert max(pace.rest_s(1.0) for _ in range(10_000)) <= REFUSED_REST_S_MAX


def test_fewer_are_refused_while_the_loop_is_late_and_as_many_as_before_after_that() -> None:
    pace = RefusalPace()
    assert pace.per_s == REFUSALS_PER_S_MAX
    for _ in range(20):
        pace.lagged(late=True)
    assert pace.per_s == REFUSALS_PER_S_MIN
    assert pace.per_s < REFUSALS_PER_S_MAX
    pace.rest_s(1.0)
    assert pace.next_rest_s(1.0) == pace.rest_s(1.0) == pytest.approx(1 / REFUSALS_PER_S_MIN)
    assert pace.next_rest_s(9.0) == 0.0
    for _ in range(100):
        pace.lagged(late=False)
    assert pace.per_s == REFUSALS_PER_S_MAX


def test_it_is_worth_looking_until_refusals_have_their_pace_again() -> None:
    admission = Admission(requests_max=ADMITTED_REQUESTS_MIN, bytes_max=1)
    admission.lagged(LOOP_LATE_S * 2)
    looks = 0
    while admission.busy:
        admission.lagged(0.0)
        looks += 1
    assert 1 < looks < 20
    assert admission.refusals.per_s == REFUSALS_PER_S_MAX
