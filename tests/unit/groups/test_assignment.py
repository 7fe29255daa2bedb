from hypothesis import given
from hypothesis import strategies as st

from bridge.groups.assignment import assigned_partitions, is_leader
from bridge.groups.records import GroupRef

REFS = st.builds(GroupRef, st.just("s"), st.just("t"), st.text("abc", min_size=1, max_size=3))
MEMBERS = st.lists(st.integers(1, 100), min_size=1, max_size=9, unique=True).map(sorted)


@given(REFS, MEMBERS, st.integers(0, 50))
def test_each_partition_has_one_owner_and_shares_differ_by_one_at_most(
    ref: GroupRef, members: list[int], partitions_count: int
) -> None:
    shares = [assigned_partitions(member, members, ref, partitions_count) for member in members]
    assert sorted(each for share in shares for each in share) == list(range(partitions_count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(REFS, MEMBERS)
def test_who_is_no_member_owns_nothing(ref: GroupRef, members: list[int]) -> None:
    assert assigned_partitions(0, members, ref, 10) == ()


@given(MEMBERS)
def test_one_member_is_the_first(members: list[int]) -> None:
    assert sum(is_leader(member, members) for member in members) == 1
    assert not is_leader(1, ())


def test_groups_of_one_partition_are_spread_over_the_members() -> None:
    owners = {
        next(member for member in (1, 2, 3) if assigned_partitions(member, (1, 2, 3), ref, 1))
        for ref in (GroupRef("s", "t", f"g{number}") for number in range(30))
    }
    assert owners == {1, 2, 3}
