"""How many long bodies are taken at a time (shell)."""

from bridge.errors import Outcome, Overloaded
from bridge.limits import NDJSON_BODIES_MAX

__all__ = ("BulkWrites",)


class BulkWrites:
    """How many bodies are being read."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def __enter__(self) -> None:
        """
        One more.

        Raises:
            Overloaded: if there are `NDJSON_BODIES_MAX`; nothing was written.
        """
        if self._count >= NDJSON_BODIES_MAX:
            raise Overloaded(
                "Too many bodies of lines are being read.", outcome=Outcome.NOT_WRITTEN, retry_after_ms=1000
            )
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
