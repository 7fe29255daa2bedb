"""How a worker is started (leaf, pure)."""

from typing import Final

__all__ = ("WORKER_COMMAND",)

#: The one argument; not for people, a parent tells all else through a pipe.
WORKER_COMMAND: Final = "worker"
