"""On which event loops a test runs; `tests/conftest.py` says why."""

from typing import Final

import pytest

__all__ = ("BOTH_LOOPS",)

#: For a rule that touches transports: it must hold on the loop of production and on the one that the other was made after.
BOTH_LOOPS: Final = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])
