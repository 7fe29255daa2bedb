"""Under which names this server is called (pure): what stops DNS rebinding."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from bridge.policy.forwarded import parsed_address
from bridge.policy.same_origin import parsed_authority

__all__ = ("AllowedHosts",)

# RFC 6761, section 6.3: browsers take these for this machine without asking anybody.
_LOOPBACK_NAME: Final = "localhost"
# Callers use a few names, and each of them again and again.
_REMEMBERED: Final = 256


class AllowedHosts:
    """
    The rule of `ALLOWED_HOSTS`: names of this machine itself, and those that are listed.

    A page whose own name is made to lead here (DNS rebinding) is same-origin to its browser, which tells nothing but
    that name in `Host`. So a name must be known; an address cannot be made to lead elsewhere.

    Args:
        allowed: names or addresses without ports; `*.example.com` is every name below it, `*` is any.
        addresses: whether any IP address will do: where others than this machine can reach the server, they call it
            by addresses that it cannot know, of a service, of a machine that forwards a port.
    """

    __slots__ = ("_addresses", "_any", "_below", "_exact", "allows")

    def __init__(self, allowed: Sequence[str], *, addresses: bool) -> None:
        named = [_plain(each.lower()) for each in allowed]
        self._any = "*" in named
        self._below = tuple(each[1:] for each in named if each.startswith("*."))
        self._exact = frozenset(named)
        self._addresses = addresses
        #: Whether a request with this `Host` is for this server.
        self.allows = lru_cache(_REMEMBERED)(self._allows)

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
