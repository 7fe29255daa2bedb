from bridge.iggy.breaker import Breaker, BreakerPermit, BreakerState, Refused


def _permit(breaker: Breaker, now_s: float) -> BreakerPermit:
    permit = breaker.admit(now_s)
    assert isinstance(permit, BreakerPermit)
    return permit


def _opened(*, successes: int = 2) -> Breaker:
    breaker = Breaker(failures=3, successes=successes, open_s=10)
    for _ in range(3):
        breaker.failed(_permit(breaker, 0.0), 0.0)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_it_opens_at_the_threshold_and_not_before() -> None:
    breaker = Breaker(failures=3, successes=1, open_s=10)
    for _ in range(2):
        breaker.failed(_permit(breaker, 0.0), 0.0)
        assert breaker.state is BreakerState.CLOSED
    breaker.failed(_permit(breaker, 0.0), 0.0)
    assert breaker.state is BreakerState.OPEN


def test_a_success_begins_the_count_anew() -> None:
    breaker = Breaker(failures=2, successes=1, open_s=10)
    for _ in range(5):
        breaker.failed(_permit(breaker, 0.0), 0.0)
        breaker.succeeded(_permit(breaker, 0.0))
    assert breaker.state is BreakerState.CLOSED


def test_open_tells_when_to_ask_again() -> None:
    breaker = _opened()
    assert breaker.admit(0.0) == Refused(10_000)
    assert breaker.admit(9.5) == Refused(500)
    assert breaker.blocks(9.5)
    assert not breaker.blocks(10.0)


def test_half_open_lets_a_single_probe_through() -> None:
    breaker = _opened()
    probe = _permit(breaker, 10.0)
    assert probe.probe
    assert breaker.state is BreakerState.HALF_OPEN
    assert isinstance(breaker.admit(10.0), Refused)
    breaker.succeeded(probe)
    second = _permit(breaker, 10.1)
    assert second.probe
    breaker.succeeded(second)
    assert not _permit(breaker, 10.1).probe


def test_a_failed_probe_opens_it_for_its_full_time_again() -> None:
    breaker = _opened()
    breaker.failed(_permit(breaker, 10.0), 12.0)
    assert breaker.state is BreakerState.OPEN
    assert breaker.admit(12.0) == Refused(10_000)


def test_an_abandoned_probe_leaves_its_place_to_the_next() -> None:
    breaker = _opened(successes=1)
    breaker.abandoned(_permit(breaker, 10.0))
    breaker.succeeded(_permit(breaker, 10.0))
    assert breaker.state is BreakerState.CLOSED


def test_an_abandoned_request_of_a_closed_breaker_counts_for_nothing() -> None:
    breaker = Breaker(failures=1, successes=1, open_s=10)
    breaker.abandoned(_permit(breaker, 0.0))
    assert breaker.state is BreakerState.CLOSED


def test_news_from_before_a_change_is_no_news() -> None:
    breaker = Breaker(failures=1, successes=1, open_s=10)
    old = _permit(breaker, 0.0)
    older = _permit(breaker, 0.0)
    breaker.failed(_permit(breaker, 0.0), 0.0)
    _permit(breaker, 10.0)
    breaker.succeeded(old)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.failed(older, 10.0)
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_connection_made_anew_closes_it() -> None:
    breaker = _opened()
    breaker.reset()
    assert breaker.state is BreakerState.CLOSED
    assert not _permit(breaker, 0.0).probe
