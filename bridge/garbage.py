"""When Python looks for cycles of garbage (leaf, shell)."""

import gc
from typing import Final

__all__ = ("freeze_start",)

# Objects made and not let go since the last look. Python's 700 means a look after every few requests, each of them
# over all that is in flight; requests leave hardly any cycles, so a look after some thousand of them is soon enough.
_YOUNG_MAX: Final = 20_000
# Looks at the young before one at the middle-aged, and of those before one at everything.
_MIDDLE_LOOKS: Final = 20
_OLD_LOOKS: Final = 50


def freeze_start() -> None:
    """
    Leave what the start has made (modules, tables) out of every later look, and look less often.

    With 64 connections this took 9 % off the time of a request. To be called once the process is ready.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE_LOOKS, _OLD_LOOKS)
