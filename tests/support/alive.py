"""Which objects of a kind are alive that were not when it was first asked."""

import gc
from collections.abc import Callable
from typing import TypeVar

__all__ = ("alive_since_now",)

T = TypeVar("T")


def alive_since_now(kind: type[T]) -> Callable[[], list[T]]:
    """
    What tells which of *kind* have been made since and are still held.

    Other tests leave some behind, in tracebacks and in what a library remembers, now and then only: they are held
    here, so that none of them is mistaken for a new one at the same address.
    """
    before = {id(each): each for each in gc.get_objects() if isinstance(each, kind)}

    def alive() -> list[T]:
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, kind) and id(each) not in before]

    return alive
