"""Which browsers' pages may call, and what they are told (pure). Source: the Fetch standard, section CORS protocol."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bridge.policy.same_origin import Site, parsed_origin

__all__ = ("Origins",)

# What a page's script may read of an answer, besides the few that are always readable.
_EXPOSED: Final = (
    "Allow, Content-Encoding, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Effective-Timeout, X-End-Cursor, X-End-Offset, X-RateLimit-Limit, X-RateLimit-Remaining, X-Request-Id"
)
_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
# All that any route looks at, also where browsers let some values pass unasked; and what readers of event streams send of
# themselves: `eventsource` up to 2, `react-native-sse`, and whoever takes the cache for stronger than `no-store`.
_HEADERS: Final = (
    "Accept",
    "Accept-Encoding",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Last-Event-ID",
    "Pragma",
    "X-API-Key",
    "X-Request-Id",
    "X-Request-Timeout",
    "X-Requested-With",
)
# Message headers have names of the caller's choice. A star would stand for all of them, but not in requests with
# credentials, should they ever come, and not for older browsers; so each that is asked for is named again.
_MESSAGE_HEADER: Final = re.compile(r"message-header-[a-z0-9!#$%&'*+.^_`|~-]{1,255}", re.ASCII)
_MESSAGE_HEADERS_MAX: Final = 64
# Browsers keep a preflight's answer so long at most before they ask again; Chromium's own cap is 7200.
_MAX_AGE_S: Final = "600"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
# What a page can be to this server; `none` is the user himself, who comes without `Origin`.
_OWN: Final = "same-origin"
_FETCH_SITES: Final = frozenset({_OWN, "same-site", "cross-site"})


class Origins:
    """
    The rule of `CORS_ALLOWED_ORIGINS`: none, a list compared as RFC 6454 does, or `*` for every origin.

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
            for origin in map(_normal, allowed)
        }

    def allows(self, origin: str) -> bool:
        """Whether pages of *origin* may call."""
        return self._any or origin in self._by_origin or _normal(origin) in self._by_origin

    def may_call(self, named: Sequence[str], fetch_site: str | None, site: Site) -> bool:
        """
        Whether a request may come from where it says: no page at all, one of this server, or one that is allowed.

        Args:
            named: every `Origin` line. Pages send one with all that is not a plain GET, and with that where they mean to
                read the answer.
            fetch_site: `Sec-Fetch-Site` (Fetch Metadata), which browsers send on secure and loopback addresses, and a
                page cannot change: the browser itself compared the two.
            site: how the request names this server.
        """
        if len(named) > 1:
            return False
        if self._any or (named and self.allows(named[0])):
            return True
        if fetch_site in _FETCH_SITES:
            return fetch_site == _OWN
        return not named or site.is_origin_of(named[0])

    def answer_headers(self, origin: str | None) -> Mapping[str, str]:
        """What any answer carries, errors included, for a request with this `Origin` header (None: without one)."""
        if self._any:
            return self._by_origin["*"]
        if origin is None:
            return self._refused
        return self._by_origin.get(origin) or self._by_origin.get(_normal(origin), self._refused)

    def preflight_headers(self, origin: str, asked: str = "") -> Mapping[str, str] | None:
        """
        What the answer to a preflight carries besides `answer_headers`; None where *origin* may not call.

        Args:
            asked: `Access-Control-Request-Headers`; message headers named in it are allowed, 64 at most.
        """
        if not self.allows(origin):
            return None
        names = (name.strip().lower() for name in asked.split(","))
        message_headers = dict.fromkeys(name for name in names if _MESSAGE_HEADER.fullmatch(name))
        return {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": ", ".join(
                (*_HEADERS, *list(message_headers)[:_MESSAGE_HEADERS_MAX])
            ),
            "Access-Control-Max-Age": _MAX_AGE_S,
        }


def _normal(origin: str) -> str:
    """*origin* as browsers write it; what is none stays as it is."""
    return str(parsed_origin(origin) or origin)
