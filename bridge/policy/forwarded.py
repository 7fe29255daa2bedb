"""What proxies write of the request they forward (pure). Source: RFC 7239, and what X-Forwarded-* became by use."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from bridge.limits import FORWARDED_CHARS_MAX, FORWARDED_NODE_CHARS_MAX

__all__ = ("Address", "Unread", "address_of", "elements_of", "parsed_address")

Address: TypeAlias = IPv4Address | IPv6Address

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


def address_of(entry: str) -> Address | Unread:
    """
    Whom an entry of `X-Forwarded-For`, an `X-Real-IP` or a `for=` names.

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
    """
    The elements of `Forwarded`, the client's own first, each with what it says by name (in lower case).

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
