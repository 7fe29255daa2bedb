"""What the start has made is never looked at again, and garbage is still found."""

import gc
from collections.abc import Iterator
from weakref import ref

import pytest

from bridge.process.memory import freeze_start


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


class Node:
    """Something that can be in a cycle."""

    other: "Node"


def test_what_was_there_is_frozen_and_looks_are_rare() -> None:
    freeze_start()
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 700


def test_a_cycle_made_later_is_still_collected() -> None:
    freeze_start()
    node = Node()
    node.other = node
    seen = ref(node)
    del node
    gc.collect()
    assert seen() is None
