"""Whether a page is this server's own (pure). Source: RFC 6454, sections 4 to 6; behind a proxy, what it forwards."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from bridge.policy.forwarded import Unread, elements_of

__all__ = ("Forwarding", "Origin", "Site", "parsed_authority", "parsed_origin")

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What a proxy may call the scheme of a WebSocket; the page's own is that of HTTP.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_AUTHORITY: Final = r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\s/?#@,:\\\[\]\"]{1,255})(?::([0-9]{0,5}))?"
_HOST: Final = re.compile(_AUTHORITY)
_ORIGIN: Final = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]{{0,31}})://{_AUTHORITY}")


class Origin(NamedTuple):
    """
    Where a page comes from: equal where RFC 6454 says so.

    Attributes:
        scheme: in lower case.
        host: likewise, an IPv6 address in brackets and in its normal form.
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
    """
    How a request names this server, as far as that is known.

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
    """
    What a trusted proxy says of the request it forwards: every line of each header, none of a peer that is not trusted.

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
