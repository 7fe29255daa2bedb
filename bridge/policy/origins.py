"""Which pages and names may call (pure): a page's origin, this server's own names, and what browsers are told.

Sources: RFC 6454, sections 4 to 6; the Fetch standard, section CORS protocol. `AllowedHosts` stops DNS rebinding.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType
from typing import Final, NamedTuple

from bridge.limits import HOSTS_REMEMBERED_MAX
from bridge.policy.client_address import Unread, elements_of, parsed_address

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What a proxy may call the scheme of a WebSocket; the page's own is that of HTTP.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_AUTHORITY: Final = r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\s/?#@,:\\\[\]\"]{1,255})(?::([0-9]{0,5}))?"
_HOST: Final = re.compile(_AUTHORITY)
_ORIGIN: Final = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]{{0,31}})://{_AUTHORITY}")


class Origin(NamedTuple):
    """Where a page comes from: equal where RFC 6454 says so.

    Attributes:
        scheme, host: in lower case, an IPv6 address in brackets and in its normal form.
        port: the scheme's own where none was written; None where it has none either.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        """As browsers write it (section 6.2)."""
        plain = f"{self.scheme}://{self.host}"
        return plain if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{plain}:{self.port}"


def parsed_origin(text: str) -> Origin | None:
    """What an `Origin` header names; None for `null`, and for what names nothing."""
    found = _ORIGIN.fullmatch(text)
    host = None if found is None else _host(found[2])
    if found is None or host is None:
        return None
    scheme = found[1].lower()
    return Origin(scheme, host, int(found[3]) if found[3] else _DEFAULT_PORTS.get(scheme))


def parsed_authority(text: str) -> tuple[str, int | None] | None:
    """Host, as in `Origin`, and port (None where none was written) of a `Host` header; None for what is none."""
    found = _HOST.fullmatch(text)
    host = None if found is None else _host(found[1])
    if found is None or host is None:
        return None
    return host, int(found[2]) if found[2] else None


def _host(text: str) -> str | None:
    if text[0] != "[":
        return text.lower()
    try:
        return f"[{IPv6Address(text[1:-1])}]"
    except ValueError:
        return None


class Site(NamedTuple):
    """How a request names this server, as far as that is known.

    Attributes:
        scheme: None where nobody who can be believed has said: a socket does not tell what a proxy took off.
        host: as in `Origin`; empty where it could not be read.
        port: None where none was written.
    """

    scheme: str | None
    host: str
    port: int | None

    def is_origin_of(self, text: str) -> bool:
        """Whether a page whose `Origin` is *text* is of this server."""
        origin = parsed_origin(text)
        if origin is None or origin.host != self.host:
            return False
        if origin.scheme not in _DEFAULT_PORTS or self.scheme not in (None, origin.scheme):
            return False
        return origin.port == (_DEFAULT_PORTS[origin.scheme] if self.port is None else self.port)


class Forwarding(NamedTuple):
    """What a trusted proxy says of the request it forwards: every line of each header, none of a peer that is not trusted.

    Of a list the first counts, which is what the browser's own request said. A page cannot write these headers: for
    a request to another origin the browser asks first, and for one to its own there is nothing to gain.
    """

    hosts: Sequence[str] = ()
    protos: Sequence[str] = ()
    ports: Sequence[str] = ()
    forwarded: Sequence[str] = ()

    def site(self, host: str) -> Site:
        """How the browser named this server, where *host* is what the request here says."""
        elements = elements_of(self.forwarded) if self.forwarded else ()
        first = elements[0] if elements and not isinstance(elements, Unread) else {}
        named = parsed_authority(_first(self.hosts) or first.get("host", "") or host)
        scheme = _SCHEMES.get((_first(self.protos) or first.get("proto", "")).lower())
        if named is None:
            return Site(scheme, "", None)
        port = _first(self.ports)
        if named[1] is None and port.isascii() and port.isdigit() and len(port) <= len("65535"):
            return Site(scheme, named[0], int(port))
        return Site(scheme, *named)

    def named_hosts(self) -> Iterator[str]:
        """Every host that the proxies say the request was for."""
        yield from (each.strip() for each in ",".join(self.hosts).split(",") if each.strip())
        elements = elements_of(self.forwarded)
        if not isinstance(elements, Unread):
            yield from (each["host"] for each in elements if "host" in each)


def _first(lines: Sequence[str]) -> str:
    return next((text for each in ",".join(lines).split(",") if (text := each.strip())), "")


# RFC 6761, section 6.3: browsers take these for this machine without asking anybody.
_LOOPBACK_NAME: Final = "localhost"


class AllowedHosts:
    """The rule of `ALLOWED_HOSTS`: names of this machine itself, and those that are listed.

    A page whose own name is made to lead here (DNS rebinding) is same-origin to its browser, which tells nothing but
    that name in `Host`. So a name must be known; an address cannot be made to lead elsewhere.

    Args:
        allowed: names or addresses without ports; `*.example.com` is every name below it, `*` is any.
        addresses: whether any IP address will do: where others than this machine can reach the server, they call it
            by addresses that it cannot know, of a service, of a machine that forwards a port.
    """

    def __init__(self, allowed: Sequence[str], *, addresses: bool) -> None:
        named = [_plain(each.lower()) for each in allowed]
        self._any = "*" in named
        self._below = tuple(each[1:] for each in named if each.startswith("*."))
        self._exact = frozenset(named)
        self._addresses = addresses
        #: Whether a request with this `Host` is for this server.
        self.allows = lru_cache(HOSTS_REMEMBERED_MAX)(self._allows)

    def _allows(self, host: str) -> bool:
        if self._any:
            return True
        authority = parsed_authority(host)
        if authority is None:
            return False
        name = _plain(authority[0])
        if name in self._exact or name == _LOOPBACK_NAME or name.endswith(f".{_LOOPBACK_NAME}"):
            return True
        address = parsed_address(name)
        if address is not None:
            return self._addresses or address.is_loopback
        return name.endswith(self._below)


def _plain(name: str) -> str:
    """Without the brackets of an IPv6 address and the dot that a whole name ends with, in normal form."""
    name = name.removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ip_address(name))
    except ValueError:
        return name


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
    "Authorization",
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
    """The rule of `CORS_ALLOWED_ORIGINS`: none, a list compared as RFC 6454 does, or `*` for every origin.

    Credentials are never allowed: the key travels in a header that the page sets itself.

    Args:
        allowed: origins such as `https://app.example`; `*` among them allows all.
    """

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
        """Whether a request may come from where it says: no page at all, one of this server, or one that is allowed.

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
        """What the answer to a preflight carries besides `answer_headers`; None where *origin* may not call.

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
