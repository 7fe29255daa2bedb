"""Every method names what is missing, whichever part of the place it is."""

from collections.abc import Awaitable, Callable

import pytest

from bridge.errors import NotFound, PartitionNotFound, StreamNotFound, TopicNotFound
from bridge.messagelog import First, NewMessage, Retention, ToPartition, TopicRef
from tests.support.log_backends import AnyLog, soon

Operation = Callable[[AnyLog, TopicRef, int], Awaitable[object]]

OF_A_TOPIC: dict[str, Operation] = {
    "topic": lambda log, ref, _: log.topic(ref, deadline=soon()),
    "partitions_count": lambda log, ref, _: log.partitions_count(ref, deadline=soon()),
    "delete_topic": lambda log, ref, _: log.delete_topic(ref, deadline=soon()),
    "purge_topic": lambda log, ref, _: log.purge_topic(ref, deadline=soon()),
    "update_retention": lambda log, ref, _: log.update_retention(ref, Retention(), deadline=soon()),
    "add_partitions": lambda log, ref, _: log.add_partitions(ref, 1, deadline=soon()),
}
OF_A_PARTITION: dict[str, Operation] = {
    "append": lambda log, ref, partition_id: log.append(
        ref, ToPartition(partition_id), [NewMessage(payload=b"x")], deadline=soon()
    ),
    "read": lambda log, ref, partition_id: log.read(ref, partition_id, First(), count=1, deadline=soon()),
    "stored_offset": lambda log, ref, partition_id: log.stored_offset(ref, partition_id, 1, deadline=soon()),
    "store_offset": lambda log, ref, partition_id: log.store_offset(ref, partition_id, 1, 0, deadline=soon()),
    "delete_offset": lambda log, ref, partition_id: log.delete_offset(ref, partition_id, 1, deadline=soon()),
}


@pytest.mark.parametrize("operation", [*OF_A_TOPIC, *OF_A_PARTITION])
@pytest.mark.parametrize("missing", [StreamNotFound, TopicNotFound])
async def test_a_missing_stream_or_topic_is_told_apart(
    log: AnyLog, stream: str, operation: str, missing: type[NotFound]
) -> None:
    ref = TopicRef(stream if missing is TopicNotFound else stream + "-none", "none")
    with pytest.raises(missing):
        await (OF_A_TOPIC | OF_A_PARTITION)[operation](log, ref, 0)


@pytest.mark.parametrize("operation", OF_A_PARTITION)
async def test_a_missing_partition_is_named_as_missing(log: AnyLog, topic: TopicRef, operation: str) -> None:
    with pytest.raises(PartitionNotFound):
        await OF_A_PARTITION[operation](log, topic, 3)
