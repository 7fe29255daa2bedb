"""What holds acknowledgements against what is stored sees each way in which the promise is broken, and no other."""

from collections.abc import Callable

import pytest

from tests.support.checker import Account, Stored

Partitions = dict[int, list[Stored]]


def account() -> Account:
    """Writer "a" sent 1, 2 and 4 one after the other, "b" 3; 1 and 2 were acknowledged, 4 was refused."""
    told = Account("7")
    told.send(1, b"one", writer="a")
    told.acknowledge(1, 0, 0)
    told.send(3, b"three", writer="b")
    told.send(2, b"two", writer="a")
    told.acknowledge(2, 0, 1)
    told.send(4, b"four", writer="a")
    told.refuse(4)
    return told


def stored() -> Partitions:
    return {0: [Stored(0, 1, b"one"), Stored(1, 2, b"two"), Stored(2, 3, b"three")]}


def test_what_was_kept_is_no_fault() -> None:
    told = account()
    told.check(stored())
    # Whether 3 was stored was never told: both are right.
    told.check({0: stored()[0][:2]})
    assert told.acknowledged_count == 2


@pytest.mark.parametrize(
    "spoil, fault",
    [
        (lambda p: p[0].pop(1), "acknowledged at"),
        (lambda p: p[0].__setitem__(1, Stored(1, 3, b"three")), "where 3 is"),
        (lambda p: p[0].__setitem__(1, Stored(1, 2, b"twp")), "is altered"),
        (lambda p: p[0].__setitem__(2, Stored(3, 3, b"three")), "offset 3 where 2 should be"),
        (lambda p: p[0].append(Stored(3, 9, b"nine")), "sent by nobody"),
        (lambda p: p[0].append(Stored(3, 4, b"four")), "told as not written"),
        (lambda p: p[0].append(Stored(3, 3, b"three")), "sent 1 times and is there 2 times"),
        (
            lambda p: p.__setitem__(0, [Stored(0, 2, b"two"), Stored(1, 1, b"one")]),
            "behind what was sent later",
        ),
        (
            lambda p: p[0].insert(0, Stored(0, 2, b"two")),
            "stands before what was there already",
        ),
    ],
)
def test_a_broken_promise_is_told_with_the_seed(spoil: Callable[[Partitions], object], fault: str) -> None:
    partitions = stored()
    spoil(partitions)
    with pytest.raises(AssertionError, match=f"(?s)seed 7.*{fault}"):
        account().check(partitions)


def test_who_sends_twice_may_find_two_copies_where_nobody_keeps_them_out() -> None:
    told = account()
    told.send(3, b"three", writer="b")
    partitions = stored()
    partitions[0].append(Stored(3, 3, b"three"))
    told.check(partitions)
    with pytest.raises(AssertionError, match="sent 2 times and is there 2 times"):
        told.check(partitions, deduplicates=True)
