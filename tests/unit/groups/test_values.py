from bridge.groups.values import GroupInfo, GroupPartition


def test_a_group_s_lag_and_messages_in_flight_are_those_of_its_partitions() -> None:
    partitions = (GroupPartition(0, 4, 9, 4, 1, 2, None), GroupPartition(1, None, 3, 3, 2, 0, "a"))
    info = GroupInfo("group", (), partitions, 0, "topic.group.dlq")
    assert (info.lag, info.in_flight) == (7, 3)
