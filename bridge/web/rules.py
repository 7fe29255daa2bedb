"""The pure rules of one configuration, built once and shared by the middleware and the server (wiring)."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web
from limits.storage import Storage

from bridge.clock import Clock
from bridge.config import HttpConfig
from bridge.config.rules import is_loopback
from bridge.limits import RATE_LIMIT_ADDRESSES_MAX, TICKET_LIFETIME_S
from bridge.policy.admission import Admission
from bridge.policy.api_keys import Lockout
from bridge.policy.client_address import ClientAddresses
from bridge.policy.key_ring import Credentials, KeyRing, TokenJudge
from bridge.policy.limit_storage import BoundedMemoryStorage, LimitTables
from bridge.policy.origins import AllowedHosts, Origins
from bridge.policy.rate_limits import ACKNOWLEDGING, ADDRESS, RateLimit, TokenBucketSupport, with_buckets
from bridge.policy.tickets import Tickets


class RateRule(NamedTuple):
    """The limit of an address that is switched on; acks, nacks and extensions have a bucket of their own, of the same size."""

    requests: RateLimit
    acknowledgements: RateLimit

    @classmethod
    def of(cls, per_s: int, burst: int) -> "RateRule":
        return cls(*(RateLimit(name, 1 / per_s, burst) for name in (ADDRESS, ACKNOWLEDGING)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a request is judged by.

    Attributes:
        buckets: of addresses and keys, shared by the workers of a machine.
        rate: None where the limit is off.
        timeout_ms: longest time for one request.
        hosts: None where any will do: whoever must show a key cannot be had by a name that leads astray.
    """

    addresses: ClientAddresses
    origins: Origins
    hosts: AllowedHosts | None
    credentials: Credentials
    lockout: Lockout
    tickets: Tickets
    buckets: TokenBucketSupport
    rate: RateRule | None
    timeout_ms: int
    admission: Admission

    @classmethod
    def of(
        cls,
        config: HttpConfig,
        clock: Clock,
        tables: LimitTables | None = None,
        key_ring: KeyRing | None = None,
        tokens: TokenJudge | None = None,
        ticket_key: bytes = b"",
    ) -> "Rules":
        """The rules that *config* asks for.

        Args:
            tables: where limits are counted; None for tables of their own.
            key_ring: None where there is no file of keys.
            tokens: None where no tokens are taken.
            ticket_key: whoever has the same takes each other's tickets.

        Raises:
            ValueError: if a trusted proxy is no network.
        """
        # Failed keys are counted in a table of their own: a flood of addresses must not push them out.
        if tables is None:
            tables = LimitTables(
                failures=BoundedMemoryStorage(clock, keys_max=RATE_LIMIT_ADDRESSES_MAX),
                buckets=BoundedMemoryStorage(clock, keys_max=RATE_LIMIT_ADDRESSES_MAX),
            )
        rate = None
        if config.rate_limit_rps > 0:
            rate = RateRule.of(config.rate_limit_rps, config.rate_limit_burst)
        credentials = Credentials(config.api_key, key_ring, tokens)
        return cls(
            addresses=ClientAddresses(config.trusted_proxies),
            origins=Origins(config.cors_allowed_origins),
            hosts=cls.hosts_of(config) if credentials.is_open or config.allowed_hosts else None,
            credentials=credentials,
            lockout=Lockout(tables.failures, clock),
            tickets=Tickets(ticket_key, key_ring, _spent_once(tables.failures), os.urandom),
            buckets=with_buckets(tables.buckets),
            rate=rate,
            timeout_ms=round(config.operation_timeout_s * 1000),
            admission=Admission(
                requests_max=config.in_flight_requests_max,
                bytes_max=config.in_flight_body_bytes_max,
                body_bytes_max=config.request_body_bytes_max,
            ),
        )

    @staticmethod
    def hosts_of(config: HttpConfig) -> AllowedHosts:
        """Under which names a listener without a key is called."""
        return AllowedHosts((*config.allowed_hosts, config.host), addresses=not is_loopback(config.host))


def _spent_once(storage: Storage) -> Callable[[str], bool]:
    # Where wrong keys are counted: that is shared by the workers of a machine, and has a bound.
    return lambda ticket: storage.incr(f"ticket/{ticket}", math.ceil(2 * TICKET_LIFETIME_S)) == 1


RULES = web.AppKey("rules", Rules)
