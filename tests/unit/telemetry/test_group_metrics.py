"""Claims of `telemetry.group_metrics`: no series rather than a wrong one."""

from bridge.telemetry.group_metrics import GroupMetrics, GroupStats
from bridge.telemetry.metrics import Metrics
from tests.support.figures import figures

Samples = dict[tuple[str, str], float]


def key(group: str) -> tuple[str, str, str]:
    return ("s", "t", group)


def shown(of: GroupMetrics) -> Samples:
    """By name and group."""
    return {
        (name.removeprefix("bridge_group_"), dict(labels)["group"]): value
        for (name, labels), value in figures(of).items()
    }


def test_a_group_has_all_its_series_as_it_was_told() -> None:
    groups = GroupMetrics()
    groups.group_delivered(*key("a"), messages=5, redelivered=2)
    groups.group_dead_lettered(*key("a"), messages=1)
    groups.groups_measured({key("a"): GroupStats(7, 3, 2, 1, 4, 60.5)})
    assert shown(groups) == {
        ("delivered_total", "a"): 5,
        ("redelivered_total", "a"): 2,
        ("dead_lettered_total", "a"): 1,
        ("lag", "a"): 7,
        ("in_flight", "a"): 3,
        ("waiting", "a"): 2,
        ("delayed", "a"): 1,
        ("dead_letters", "a"): 4,
        ("oldest_unsettled_age_seconds", "a"): 60.5,
    }


def test_what_is_not_known_has_no_series() -> None:
    groups = GroupMetrics()
    stands = GroupStats(7, 3, 2, 1, 4)
    groups.groups_measured({key("a"): stands, key("b"): None})
    assert shown(groups).get(("lag", "a")) == 7
    assert ("lag", "b") not in shown(groups)
    groups.groups_measured(None)
    assert not any(name == "lag" for name, _ in shown(groups))
    assert ("delivered_total", "a") in shown(groups)


def test_series_end_with_their_group_and_make_room() -> None:
    groups = GroupMetrics(groups_max=2)
    for number in range(100):
        groups.group_delivered(*key(f"g{number}"), messages=1, redelivered=0)
        groups.groups_measured({key(f"g{number}"): GroupStats(number, 0, 0, 0, 0)})
    assert {group for _, group in shown(groups)} == {"g99"}


def test_groups_beyond_the_bound_share_one_label_and_are_added_up_where_all_are_known() -> None:
    groups = GroupMetrics(groups_max=1)
    stands = GroupStats(1, 1, 1, 1, 1)
    groups.groups_measured({key(group): stands for group in ("a", "b", "c")})
    groups.groups_measured({key(group): stands for group in ("a", "b", "c")})
    assert (shown(groups)["lag", "a"], shown(groups)["lag", "other"]) == (1, 2)
    groups.groups_measured({key("a"): stands, key("b"): stands, key("c"): None})
    assert ("lag", "other") not in shown(groups)
    assert shown(groups)["lag", "a"] == 1


def test_several_processes_tell_of_the_same_groups_and_only_what_they_counted_is_added() -> None:
    one, two, dead, together = (Metrics(of_workers=True) for _ in range(4))
    for worker, lag in ((one, 5), (two, 6), (dead, 1_000)):
        worker.groups.group_delivered(*key("a"), messages=1, redelivered=0)
        worker.groups.groups_measured({key("a"): GroupStats(lag, 1, 0, 0, 0)})
    two.groups.groups_measured({key("a"): GroupStats(6, 1, 0, 0, 0), key("b"): None})
    for worker in (one, two, dead):
        together.absorb(worker.plain(), alive=worker is not dead)
    assert shown(together.groups)["delivered_total", "a"] == 3
    assert (shown(together.groups)["lag", "a"], shown(together.groups)["in_flight", "a"]) == (6, 1)
    assert ("lag", "b") not in shown(together.groups)


def test_the_age_of_several_groups_together_is_that_of_the_oldest_where_all_are_known() -> None:
    groups = GroupMetrics(groups_max=1)
    ages = {"a": 1.0, "b": 5.0, "c": 3.0}
    stats = {key(group): GroupStats(1, 0, 0, 0, 0, age_s) for group, age_s in ages.items()}
    groups.groups_measured(stats)
    groups.groups_measured(stats)
    assert shown(groups)["oldest_unsettled_age_seconds", "other"] == 5
    groups.groups_measured({**stats, key("c"): GroupStats(1, 0, 0, 0, 0)})
    assert ("oldest_unsettled_age_seconds", "other") not in shown(groups)
    assert shown(groups)["lag", "other"] == 2
