from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.messagelog import HotPages


def kept(pages: HotPages[int, int], number: int, size_bytes: int = 10) -> bool:
    pages.offer(number, number, size_bytes=size_bytes)
    return pages.offer(number, number, size_bytes=size_bytes)


def test_a_value_is_kept_when_it_is_offered_again() -> None:
    pages: HotPages[str, int] = HotPages(80)
    assert not pages.offer("a", 1, size_bytes=10)
    assert pages.get("a") is None
    assert pages.offer("a", 2, size_bytes=10)
    assert pages.get("a") == 2
    assert pages.offer("a", 3, size_bytes=5)
    assert (pages.get("a"), pages.size_bytes) == (3, 5)


def test_what_was_used_last_stays() -> None:
    pages: HotPages[int, int] = HotPages(80)
    for number in range(8):
        assert kept(pages, number)
    assert pages.get(0) == 0
    assert kept(pages, 8)
    assert pages.get(1) is None
    assert pages.get(0) == 0


def test_who_reads_everything_once_drives_nothing_out() -> None:
    pages: HotPages[int, int] = HotPages(80)
    for _ in range(2):
        pages.offer(-1, -1, size_bytes=10)
    for number in range(10_000):
        pages.offer(number, number, size_bytes=10)
    assert pages.get(-1) == -1
    assert not pages.offer(0, 0, size_bytes=10), "forgotten: only so many keys are remembered"
    assert pages.offer(10_000 - limits.HOT_PAGES_SEEN_MAX + 1, 0, size_bytes=10)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=60))
def test_the_bound_holds_whatever_is_offered(offers: list[tuple[int, int]]) -> None:
    pages: HotPages[int, int] = HotPages(100)
    sizes: dict[int, int] = {}
    for key, size in offers:
        pages.offer(key, size, size_bytes=size)
        if pages.offer(key, size, size_bytes=size):
            sizes[key] = size
        else:
            assert size > 100 // 8
        kept = {key: value for key in sizes if (value := pages.get(key)) is not None}
        assert all(sizes[key] == value for key, value in kept.items())
        assert pages.size_bytes == sum(kept.values()) <= 100
