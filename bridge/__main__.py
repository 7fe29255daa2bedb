"""The entry of the process (wiring): the only place that knows which event loop is used."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from bridge.cli.entry import main as run_command

if TYPE_CHECKING:
    import asyncio


def _new_event_loop() -> "asyncio.AbstractEventLoop":
    import uvloop  # noqa: PLC0415 (`bridge health` needs no loop)

    return uvloop.new_event_loop()


def _open_standard_streams() -> None:
    """Give the three standard descriptors something to be, where whoever started this has closed them.

    The next file or socket would get the number of the log's, and its lines.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDWR)
    # Of those Python has made no file when it started.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (as Python makes them)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 (as Python makes them)


def main() -> NoReturn:
    """Run the command of this process and end with its exit code."""
    _open_standard_streams()
    sys.exit(run_command(sys.argv[1:], loop_factory=_new_event_loop))


if __name__ == "__main__":
    main()
