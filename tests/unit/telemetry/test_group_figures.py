"""Claims of `telemetry.group_figures`: no series rather than a wrong one."""

from bridge.telemetry.group_figures import GroupFigures
from bridge.telemetry.port import GroupStats

Samples = dict[tuple[str, str], float]


def key(group: str) -> tuple[str, str, str]:
    return ("s", "t", group)


def shown(figures: GroupFigures) -> Samples:
    """By name and group."""
    return {
        (sample.name.removeprefix("bridge_group_"), sample.labels["group"]): sample.value
        for family in figures.families()
        for sample in family.samples
    }


def test_a_group_has_all_its_series_as_it_was_told() -> None:
    figures = GroupFigures()
    figures.group_delivered(*key("a"), messages=5, redelivered=2)
    figures.group_dead_lettered(*key("a"), messages=1)
    figures.groups_measured({key("a"): GroupStats(7, 3, 2, 1, 4)})
    assert shown(figures) == {
        ("delivered_total", "a"): 5,
        ("redelivered_total", "a"): 2,
        ("dead_lettered_total", "a"): 1,
        ("lag", "a"): 7,
        ("in_flight", "a"): 3,
        ("waiting", "a"): 2,
        ("delayed", "a"): 1,
        ("dead_letters", "a"): 4,
    }


def test_what_is_not_known_has_no_series() -> None:
    figures = GroupFigures()
    stands = GroupStats(7, 3, 2, 1, 4)
    figures.groups_measured({key("a"): stands, key("b"): None})
    assert shown(figures).get(("lag", "a")) == 7
    assert ("lag", "b") not in shown(figures)
    figures.groups_measured(None)
    assert not any(name == "lag" for name, _ in shown(figures))
    assert ("delivered_total", "a") in shown(figures)


def test_series_end_with_their_group_and_make_room() -> None:
    figures = GroupFigures(groups_max=2)
    for number in range(100):
        figures.group_delivered(*key(f"g{number}"), messages=1, redelivered=0)
        figures.groups_measured({key(f"g{number}"): GroupStats(number, 0, 0, 0, 0)})
    assert {group for _, group in shown(figures)} == {"g99"}


def test_groups_beyond_the_bound_share_one_label_and_are_added_up_where_all_are_known() -> None:
    figures = GroupFigures(groups_max=1)
    stands = GroupStats(1, 1, 1, 1, 1)
    figures.groups_measured({key(group): stands for group in ("a", "b", "c")})
    figures.groups_measured({key(group): stands for group in ("a", "b", "c")})
    assert (shown(figures)["lag", "a"], shown(figures)["lag", "other"]) == (1, 2)
    figures.groups_measured({key("a"): stands, key("b"): stands, key("c"): None})
    assert ("lag", "other") not in shown(figures)
    assert shown(figures)["lag", "a"] == 1


def test_several_processes_tell_of_the_same_groups_and_only_what_they_counted_is_added() -> None:
    one, two, dead, together = (GroupFigures() for _ in range(4))
    for figures, lag in ((one, 5), (two, 6), (dead, 1_000)):
        figures.group_delivered(*key("a"), messages=1, redelivered=0)
        figures.groups_measured({key("a"): GroupStats(lag, 1, 0, 0, 0)})
    two.groups_measured({key("a"): GroupStats(6, 1, 0, 0, 0), key("b"): None})
    for figures in (one, two, dead):
        together.absorb(figures.snapshot(), alive=figures is not dead)
    assert shown(together)["delivered_total", "a"] == 3
    assert (shown(together)["lag", "a"], shown(together)["in_flight", "a"]) == (6, 1)
    assert ("lag", "b") not in shown(together)
