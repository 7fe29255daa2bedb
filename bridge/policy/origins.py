"""Which browsers' pages may call, and what they are told (pure). Source: the Fetch standard, section CORS protocol."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

__all__ = ("Origins",)

# What a page's script may read of an answer, besides the few that are always readable.
_EXPOSED: Final = "X-Request-Id, X-Effective-Timeout, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining"
_METHODS: Final = "GET, HEAD, POST, DELETE"
_HEADERS: Final = "Content-Type, X-API-Key, X-Request-Id, X-Request-Timeout"
# Browsers keep a preflight's answer so long at most before they ask again; Chromium's own cap is 7200.
_MAX_AGE_S: Final = "600"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Origins:
    """
    The rule of `CORS_ALLOWED_ORIGINS`: none, a list compared byte for byte, or `*` for every origin.

    Credentials are never allowed: the key travels in a header that the page sets itself.

    Args:
        allowed: origins such as `https://app.example`; `*` among them allows all.
    """

    __slots__ = ("_any", "_by_origin", "_refused", "enabled")

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = "*" in allowed
        #: Whether any answer carries a CORS header at all.
        self.enabled = bool(allowed)
        # Caches must know that the answer depends on the origin, also where this one is refused.
        self._refused: Mapping[str, str] = {"Vary": "Origin"} if allowed and not self._any else _NOTHING
        self._by_origin: dict[str, Mapping[str, str]] = {
            origin: {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": _EXPOSED,
                **self._refused,
            }
            for origin in allowed
        }

    def allows(self, origin: str) -> bool:
        """Whether pages of *origin* may call."""
        return self._any or origin in self._by_origin

    def answer_headers(self, origin: str | None) -> Mapping[str, str]:
        """What any answer carries, errors included, for a request with this `Origin` header (None: without one)."""
        if self._any:
            return self._by_origin["*"]
        if origin is None:
            return self._refused
        return self._by_origin.get(origin, self._refused)

    def preflight_headers(self, origin: str) -> Mapping[str, str] | None:
        """What the answer to a preflight carries besides `answer_headers`; None where *origin* may not call."""
        if not self.allows(origin):
            return None
        return {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE_S,
        }
