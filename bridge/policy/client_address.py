"""Whose request it is, where proxies may stand between (pure). Source: RFC 7239, and what X-Forwarded-* became by use."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, TypeAlias

from bridge.limits import (
    ADDRESSES_REMEMBERED_MAX,
    FORWARDED_CHARS_MAX,
    FORWARDED_ENTRIES_MAX,
    FORWARDED_NODE_CHARS_MAX,
)

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# A port, or a name that stands for one (RFC 7239, section 6.2).
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]{1,64}))?"
# `[2001:db8::1]:4711`, with a zone also as URLs have it (RFC 6874), or `192.0.2.1:4711`.
_WITH_PORT: Final = re.compile(rf"(?:\[([0-9A-Fa-f:.]+(?:%[^\]]+)?)\]|([0-9.]+)){_PORT}", re.ASCII)
_UNKNOWN: Final = re.compile(rf"unknown{_PORT}", re.ASCII | re.IGNORECASE)
_OBFUSCATED: Final = re.compile(rf"_[A-Za-z0-9._-]+{_PORT}", re.ASCII)
# `for=…`, quoted or not, and what separates it from the next. Brackets and colons want quotes, and often have none.
_PAIR: Final = re.compile(
    r"[ \t,]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",;]*))[ \t]*(?:([;,])|$)",
    re.ASCII,
)


class Unread(Enum):
    """Why an entry names nobody."""

    UNKNOWN = "unknown"
    OBFUSCATED = "obfuscated"
    NO_ADDRESS = "no_address"
    TOO_LONG = "too_long"


def parsed_address(text: str) -> Address | None:
    """The address that *text* is, without its zone, and IPv4 where it is IPv4-mapped."""
    if "%" in text:
        text, _, _ = text.partition("%")
        if ":" not in text:
            # Only IPv6 has zones.
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(text: str, networks: Iterable[Network]) -> bool:
    """Whether *text* is an address in one of *networks*."""
    address = parsed_address(text)
    return address is not None and any(address in network for network in networks)


def address_of(entry: str) -> Address | Unread:
    """Whom an entry of `X-Forwarded-For`, an `X-Real-IP` or a `for=` names.

    Alone, in brackets, with a port, in quotes, with a zone: as proxies write it.
    """
    if len(entry) > FORWARDED_NODE_CHARS_MAX:
        return Unread.TOO_LONG
    text = entry.strip(" \t")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip(" \t")
    address = parsed_address(text)
    if address is not None:
        return address
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        bracketed, plain = found.groups()
        address = parsed_address(bracketed or plain)
        # What stands in brackets was IPv6, even where it means IPv4.
        return Unread.NO_ADDRESS if address is None or (bracketed and ":" not in bracketed) else address
    if _UNKNOWN.fullmatch(text):
        return Unread.UNKNOWN
    return Unread.OBFUSCATED if _OBFUSCATED.fullmatch(text) else Unread.NO_ADDRESS


def elements_of(lines: Sequence[str]) -> tuple[Mapping[str, str], ...] | Unread:
    """The elements of `Forwarded`, the client's own first, each with what it says by name (in lower case).

    A header that is not well-formed is not read at all: what a caller wrote must not hide what the proxy added.
    """
    # Empty elements of a list say nothing (RFC 9110, section 5.6.1.2).
    text = ",".join(lines).strip(" \t,")
    if len(text) > FORWARDED_CHARS_MAX:
        return Unread.TOO_LONG
    elements: list[Mapping[str, str]] = []
    element: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return Unread.NO_ADDRESS
        name, quoted, plain, separator = found.groups()
        name = name.lower()
        if name in element:
            return Unread.NO_ADDRESS
        element[name] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = found.end()
        if separator != ";":
            elements.append(element)
            element = {}
    if element:
        elements.append(element)
    return tuple(elements)


# A household or a virtual machine gets a /64: whoever holds one address of it holds them all.
_LIMIT_PREFIX_BITS: Final = 64


class Client(NamedTuple):
    """Whose request it is.

    Attributes:
        address: that limits and logs go by, in its normal form, IPv4 where it is IPv4-mapped; the peer's as it is
            where that is no IP address.
        unread: why the trusted proxy's own word for it could not be used; None where it could, or there was none.
            *address* is then that of the nearest hop that is known, and whoever comes through it counts as one.
    """

    address: str
    unread: Unread | None = None


class ClientAddresses:
    """The rule of `TRUSTED_PROXIES`: only a trusted peer is believed, and then the right-most untrusted entry.

    The left-most entry is what the caller himself wrote and is never used for its place alone. Where all entries are
    trusted it is the caller's own all the same: then the caller is one of the trusted.

    Args:
        trusted_proxies: networks in CIDR form, or single addresses.

    Raises:
        ValueError: if one of them is no network.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(ip_network(text) for text in trusted_proxies)
        #: Whether any peer is believed at all; if not, nobody need read what it says.
        self.proxied = bool(self._networks)
        self._parsed_peer = lru_cache(ADDRESSES_REMEMBERED_MAX)(_normalised)
        self.is_trusted = lru_cache(ADDRESSES_REMEMBERED_MAX)(self._is_trusted)

    def peer(self, peer: str) -> str:
        """The address of a connection's other end in its normal form, as it is where it is no IP address."""
        return self._parsed_peer(peer) or peer

    def client(
        self,
        peer: str,
        forwarded_for: Sequence[str] = (),
        real_ip: Sequence[str] = (),
        forwarded: Sequence[str] = (),
    ) -> Client:
        """Whose request it is that came from *peer*.

        Of the three headers the first that says anything counts; `X-Real-IP` also where all of `X-Forwarded-For` is
        trusted. So a proxy that writes one of them need not take the others off, as long as it writes the first.

        Args:
            peer: address of the connection's other end.
            forwarded_for: every `X-Forwarded-For` line, in order.
            real_ip: every `X-Real-IP` line; more than one is as good as none.
            forwarded: every `Forwarded` line (RFC 7239), in order.
        """
        own = self.peer(peer)
        if not self._networks or not self.is_trusted(own):
            return Client(own)
        entries = ",".join(forwarded_for).rsplit(",", FORWARDED_ENTRIES_MAX) if forwarded_for else []
        found = self._right_most(own, entries)
        if found is not None and (found.unread or not self.is_trusted(found.address)):
            return found
        if len(real_ip) == 1 and real_ip[0].strip():
            address = address_of(real_ip[0])
            if not isinstance(address, Unread):
                return Client(str(address))
            return Client(own if found is None else found.address, address)
        if found is None and forwarded:
            elements = elements_of(forwarded)
            if isinstance(elements, Unread):
                return Client(own, elements)
            found = self._right_most(own, [each.get("for") or "unknown" for each in elements])
        return found or Client(own)

    def _right_most(self, own: str, entries: Sequence[str]) -> Client | None:
        """The right-most untrusted of *entries*, else the left-most; None where there are none."""
        known: str | None = None
        for count, entry in enumerate(reversed(entries)):
            # Empty elements of a list say nothing (RFC 9110, section 5.6.1.2).
            if not entry.strip():
                continue
            address = address_of(entry) if count < FORWARDED_ENTRIES_MAX else Unread.TOO_LONG
            if isinstance(address, Unread):
                return Client(known or own, address)
            known = str(address)
            if not self.is_trusted(known):
                return Client(known)
        return None if known is None else Client(known)

    def _is_trusted(self, address: str) -> bool:
        return is_within(address, self._networks)


@lru_cache(ADDRESSES_REMEMBERED_MAX)
def limit_key(address: str) -> str:
    """What limits count by: the address itself, of an IPv6 address its /64."""
    if ":" not in address:
        return address
    parsed = parsed_address(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(ip_network((int(parsed) >> _LIMIT_PREFIX_BITS << _LIMIT_PREFIX_BITS, _LIMIT_PREFIX_BITS)))


def _normalised(text: str) -> str | None:
    address = parsed_address(text)
    return None if address is None else str(address)
