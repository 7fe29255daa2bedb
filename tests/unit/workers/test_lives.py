"""When a worker that ended is started again."""

from bridge.limits import WORKER_RESTART_DELAY_S_MAX, WORKER_SHORT_LIFE_S, WORKER_SHORT_LIVES_MAX
from bridge.workers.supervisor import Lives


def test_a_first_death_is_followed_by_another_life_at_once() -> None:
    assert Lives().ended(0.0) == 0.0


def test_short_lives_in_a_row_wait_longer_each_time_and_come_to_an_end() -> None:
    lives = Lives()
    delays_s = [lives.ended(1.0) for _ in range(WORKER_SHORT_LIVES_MAX)]
    assert delays_s[-1] is None
    waits_s = [delay_s for delay_s in delays_s if delay_s is not None]
    assert len(waits_s) == WORKER_SHORT_LIVES_MAX - 1
    assert waits_s == sorted(set(waits_s))
    assert max(waits_s) <= WORKER_RESTART_DELAY_S_MAX


def test_a_long_life_makes_up_for_the_short_ones_before() -> None:
    lives = Lives()
    for _ in range(WORKER_SHORT_LIVES_MAX - 1):
        lives.ended(1.0)
    assert lives.ended(WORKER_SHORT_LIFE_S) == 0.0
    assert lives.ended(1.0) == 0.0
    assert lives.ended(1.0) is not None
