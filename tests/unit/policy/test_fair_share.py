"""Something bounded that many want, and none may have all of."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.admission import FairShare


def _taken(share: FairShare, holder: str) -> int:
    """How many slots *holder* gets who takes what he can."""
    count = 0
    while share.take(holder):
        count += 1
    return count


def test_one_alone_gets_half_and_two_who_take_turns_a_third_each() -> None:
    assert _taken(FairShare(32, alpha=1.0), "a") == 16
    share = FairShare(30, alpha=1.0)
    got = {"a": 0, "b": 0}
    for _ in range(30):
        for holder in got:
            got[holder] += share.take(holder)
    assert got == {"a": 10, "b": 10}


def test_who_has_nothing_gets_something_while_anything_is_free() -> None:
    share = FairShare(64, alpha=1.0)
    got = [_taken(share, str(number)) for number in range(8)]
    assert got == [32, 16, 8, 4, 2, 1, 1, 0]
    share.give_back("3")
    assert share.take("another")


def test_a_single_slot_can_be_had() -> None:
    share = FairShare(1, alpha=1.0)
    assert share.take("a")
    assert not share.take("b")
    share.give_back("a")
    assert share.take("b")


@given(
    st.integers(1, 100),
    st.sampled_from([0.5, 1.0, 3.0, 4.0]),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 40), st.booleans()), max_size=80),
)
def test_no_more_is_taken_than_there_is_and_all_of_it_can_be_given_back(
    amount_max: int, alpha: float, least: int, steps: list[tuple[str, int, bool]]
) -> None:
    share = FairShare(amount_max, alpha=alpha, least=least)
    held: dict[str, list[int]] = {}
    for holder, amount, gives in steps:
        if gives and held.get(holder):
            share.give_back(holder, held[holder].pop())
        else:
            free = amount_max - share.taken
            got = share.take(holder, amount)
            if sum(held.get(holder, ())) + amount <= least:
                assert got == (amount <= free)
            if got:
                held.setdefault(holder, []).append(amount)
        assert share.taken == sum(map(sum, held.values())) <= amount_max
    for holder, amounts in held.items():
        for amount in amounts:
            share.give_back(holder, amount)
    assert share.taken == 0
