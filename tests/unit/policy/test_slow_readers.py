"""What is held for those who do not take it, and who goes when it is too much."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.slow_clients import MinimumRate, SlowReaders


def _pace() -> MinimumRate:
    return MinimumRate(patience_s=30.0, bytes_per_s_min=1000.0)


def test_what_is_held_is_counted_until_it_is_taken() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=1000)
    readers.began("a", _pace(), 0.0, waiting_bytes=300, held_bytes=400)
    readers.began("b", _pace(), 0.0, waiting_bytes=100, held_bytes=100)
    assert (readers.held_bytes, len(readers)) == (500, 2)
    readers.ended("a", 1.0, waiting_bytes=0)
    readers.ended("a", 1.0, waiting_bytes=0)
    assert (readers.held_bytes, readers.readers()) == (100, ("b",))


def test_one_that_is_full_again_is_counted_once() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=1000)
    readers.began("a", _pace(), 0.0, waiting_bytes=300, held_bytes=300)
    readers.began("a", _pace(), 1.0, waiting_bytes=500, held_bytes=500)
    assert (readers.held_bytes, len(readers)) == (500, 1)


def test_one_that_takes_too_little_is_too_slow_and_one_that_keeps_up_never_is() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=10**9)
    readers.began("slow", _pace(), 0.0, waiting_bytes=100_000, held_bytes=100_000)
    readers.began("fair", _pace(), 0.0, waiting_bytes=100_000, held_bytes=100_000)
    for second in range(1, 30):
        assert readers.look("slow", float(second), waiting_bytes=100_000 - second)
        assert readers.look("fair", float(second), waiting_bytes=100_000 - 1000 * second)
    assert readers.look("slow", 30.0, waiting_bytes=99_970)
    assert not readers.look("slow", 31.0, waiting_bytes=99_969)
    assert readers.look("fair", 31.0, waiting_bytes=69_000)


def test_what_is_written_meanwhile_is_not_taken() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=10**9)
    readers.began("a", _pace(), 0.0, waiting_bytes=1000, held_bytes=1000)
    assert readers.look("a", 10.0, waiting_bytes=50_000)
    assert not readers.look("a", 30.0, waiting_bytes=50_000)


def test_patience_goes_on_from_one_time_to_the_next() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=10**9)
    pace = _pace()
    for start in (0.0, 100.0, 200.0):
        readers.began("a", pace, start, waiting_bytes=1000, held_bytes=1000)
        readers.ended("a", start + 9.0, waiting_bytes=0)
    assert 5.9 < pace.left_s < 6.1


def test_of_one_that_is_not_there_nothing_is_said() -> None:
    assert SlowReaders[str](bytes_max=1).look("nobody", 1.0, waiting_bytes=1)


def test_the_slowest_goes_first_and_of_equals_the_heaviest() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=1000)
    readers.began("old", _pace(), 0.0, waiting_bytes=100, held_bytes=100)
    assert readers.look("old", 5.0, waiting_bytes=100)
    readers.began("light", _pace(), 5.0, waiting_bytes=300, held_bytes=300)
    readers.began("heavy", _pace(), 5.0, waiting_bytes=600, held_bytes=600)
    assert readers.surplus() == []
    readers.began("new", _pace(), 5.0, waiting_bytes=200, held_bytes=200)
    assert readers.surplus() == ["old", "heavy"]


def test_one_alone_may_hold_more_than_all_may() -> None:
    readers: SlowReaders[str] = SlowReaders(bytes_max=10)
    readers.began("a", _pace(), 0.0, waiting_bytes=100, held_bytes=100)
    assert readers.surplus() == []


@given(st.lists(st.tuples(st.integers(1, 2000), st.floats(0.0, 29.0)), min_size=1, max_size=40))
def test_without_the_surplus_the_rest_is_within_the_bound(found: list[tuple[int, float]]) -> None:
    readers: SlowReaders[int] = SlowReaders(bytes_max=1000)
    for number, (held_bytes, waited_s) in enumerate(found):
        readers.began(number, _pace(), 0.0, waiting_bytes=held_bytes, held_bytes=held_bytes)
        readers.look(number, waited_s, waiting_bytes=held_bytes)
    for reader in readers.surplus():
        readers.ended(reader, 29.0, waiting_bytes=0)
    assert len(readers) >= 1
    assert readers.held_bytes <= 1000 or len(readers) == 1
