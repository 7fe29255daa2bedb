"""Which partition a message goes to (pure)."""

from typing import NamedTuple, TypeAlias

import xxhash

__all__ = ("Balanced", "ByKey", "Placement", "ToPartition", "partition_of_key")


class ToPartition(NamedTuple):
    """Into this partition."""

    partition_id: int


class ByKey(NamedTuple):
    """Into the partition of this key, 1..255 bytes; one key always goes to one partition while their number stays."""

    key: bytes


class Balanced(NamedTuple):
    """Into partitions in turn, a whole append into one."""


Placement: TypeAlias = ToPartition | ByKey | Balanced


def partition_of_key(key: bytes, partitions_count: int) -> int:
    """
    The partition, 0..*partitions_count*-1, where every Iggy client puts messages with this key.

    Source: Iggy's clients take xxh32 with seed 0, modulo the number of partitions; the contract suite compares
    with the SDK's own placement.
    """
    return xxhash.xxh32_intdigest(key, 0) % partitions_count
