"""Which request the lines belong to (leaf, shell): one variable of the context, set once per request."""

from contextvars import ContextVar
from typing import Final

__all__ = ("REQUEST_SCOPE",)

#: Request id and client's address of the request being served here; None outside of one.
REQUEST_SCOPE: Final[ContextVar[tuple[str, str] | None]] = ContextVar("request_scope", default=None)
