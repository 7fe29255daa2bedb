"""Signals that come before anything is begun (leaf): what serves takes a second to be loaded.

Left to their defaults they would end the process as killed, which whoever started it takes for a failure; and the first process
of a container would not even hear them.
"""

import os
import signal
from types import FrameType

_came: list[int] = []


def _end(_number: int, _frame: FrameType | None) -> None:
    # Nothing is begun, so there is nothing to end; an exception could be raised where it is dropped.
    os._exit(0)


def _remember(number: int, _frame: FrameType | None) -> None:
    _came.append(number)


def hear_early_signals() -> None:
    """End with 0 on SIGTERM and SIGINT, and remember a SIGHUP that is not ignored, until somebody else takes them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _remember)


def hung_up_early() -> bool:
    """Whether a SIGHUP was remembered."""
    return bool(_came)
