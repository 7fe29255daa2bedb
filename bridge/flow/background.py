"""Tasks that outlive whoever happened to begin them (shell)."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ("in_background",)

_T = TypeVar("_T")


def in_background(work: Coroutine[Any, Any, _T], *, name: str) -> "asyncio.Task[_T]":
    """
    A task for *work*, which is shared.

    In a context of its own: in that of the first client its log lines would bear his request id for ever.
    """
    return asyncio.get_running_loop().create_task(work, name=name, context=Context())
