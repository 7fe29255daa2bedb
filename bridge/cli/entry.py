"""Where the command line begins (wiring): what must be quick is done here, anything else goes the long way through typer."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from bridge.cli.health import own_url, probe

if TYPE_CHECKING:
    import asyncio

LoopFactory = Callable[[], "asyncio.AbstractEventLoop"]

#: The one argument of a worker; not for people, a parent says all else through a pipe.
WORKER_COMMAND: Final = "worker"

_SERVE: Final = "serve"
# Set by the scripts of `bridge completion`.
_COMPLETES: Final = "_BRIDGE_COMPLETE"
# How a container's HEALTHCHECK calls it.
_FAST_PROBES: Final = {("health",): False, ("health", "--ready"): True}


def main(arguments: Sequence[str], *, loop_factory: LoopFactory) -> int:
    """Run one command and return its exit code.

    Raises:
        SystemExit: from typer, with the exit code.
    """
    if tuple(arguments) == (WORKER_COMMAND,):
        # Not for people: a parent starts it and tells it all through a pipe.
        from bridge.workers.worker import run_worker  # noqa: PLC0415

        return run_worker(loop_factory=loop_factory)
    fast = _FAST_PROBES.get(tuple(arguments))
    if fast is not None:
        return probe(own_url(os.environ), ready=fast)
    command = arguments[0] if arguments else None
    if command == _SERVE:
        from bridge.process.early_signals import hear_early_signals  # noqa: PLC0415 (another command ends as shells expect)

        hear_early_signals()
    from bridge.cli.tree import command_tree  # noqa: PLC0415

    completes = _COMPLETES in os.environ
    command_tree(loop_factory, command=None if completes else command, completes=completes)(
        args=list(arguments), prog_name="bridge"
    )
    return 0
