"""Whose request it is, where proxies may stand between (pure)."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from bridge.limits import FORWARDED_ENTRIES_MAX

__all__ = ("ClientAddresses", "limit_key")

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

# Answers kept, so that parsing costs nothing for callers that stay: one table for peers, one for limits.
_REMEMBERED: Final = 4096
# A household or a virtual machine gets a /64: whoever holds one address of it holds them all.
_LIMIT_PREFIX_BITS: Final = 64


class ClientAddresses:
    """
    The rule of `TRUSTED_PROXIES`: only a trusted peer is believed, and then the right-most untrusted entry.

    The left-most entry is what the caller himself wrote and is never used for its place alone.

    Args:
        trusted_proxies: networks in CIDR form, or single addresses.

    Raises:
        ValueError: if one of them is no network.
    """

    __slots__ = ("_networks", "_parsed_peer", "is_trusted", "proxied")

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._networks: tuple[_Network, ...] = tuple(ip_network(text) for text in trusted_proxies)
        #: Whether any peer is believed at all; if not, nobody need read what it says.
        self.proxied = bool(self._networks)
        self._parsed_peer = lru_cache(_REMEMBERED)(_normalised)
        self.is_trusted = lru_cache(_REMEMBERED)(self._is_trusted)

    def client(self, peer: str, forwarded_for: Sequence[str], real_ip: Sequence[str]) -> str:
        """
        The address that limits and logs go by.

        Args:
            peer: address of the connection's other end.
            forwarded_for: every `X-Forwarded-For` line, in order.
            real_ip: every `X-Real-IP` line; more than one is as good as none.

        Returns:
            An address in its normal form, IPv4 where it is IPv4-mapped; *peer* as it is where it is no IP address.
        """
        own = self._parsed_peer(peer) or peer
        if not self._networks or not self.is_trusted(own):
            return own
        if forwarded_for:
            entries = ",".join(forwarded_for).rsplit(",", FORWARDED_ENTRIES_MAX)
            for entry in entries[-1 : -FORWARDED_ENTRIES_MAX - 1 : -1]:
                address = _normalised(entry.strip())
                if address is None:
                    return own
                if not self.is_trusted(address):
                    return address
            if len(entries) > FORWARDED_ENTRIES_MAX:
                return own
        if len(real_ip) == 1:
            return _normalised(real_ip[0].strip()) or own
        return own

    def _is_trusted(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self._networks
        )


@lru_cache(_REMEMBERED)
def limit_key(address: str) -> str:
    """What limits count by: the address itself, of an IPv6 address its /64."""
    if ":" not in address:
        return address
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(ip_network((int(parsed) >> _LIMIT_PREFIX_BITS << _LIMIT_PREFIX_BITS, _LIMIT_PREFIX_BITS)))


def _parsed(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _normalised(text: str) -> str | None:
    address = _parsed(text)
    return None if address is None else str(address)
