"""How much may come over a socket (shell over `policy.rate_limits` and `policy.key_limits`): by its address, and by its key."""

from bridge.errors import RateLimited
from bridge.policy.key_limits import KeyVerdictOfLimit
from bridge.policy.rate_limits import acknowledgement_key
from bridge.web.keys import Services
from bridge.web.middleware.key_limits import refusal_of
from bridge.web.rules import Rules


class SocketLimits:
    """
    Each operation counts as a request does; what is too much raises `RateLimited`.

    Args:
        address: whose requests are counted.
        key_id: of the key that the socket was opened with; None for none.
    """

    def __init__(self, services: Services, rules: Rules, address: str, key_id: str | None) -> None:
        self._metrics = services.metrics
        self._rate = rules.rate
        self._keys = None if key_id is None else rules.key_limiter
        self._address = address
        self._key_id = key_id or ""

    def request(self) -> None:
        """One more request."""
        self._take(self._address)
        if self._keys is not None:
            self._check(self._keys.request(self._key_id))

    def acknowledgement(self) -> None:
        """One more ack, nack or extension."""
        self._take(acknowledgement_key(self._address))
        if self._keys is not None:
            self._check(self._keys.request(self._key_id, acknowledges=True))

    def message(self, bytes_count: int) -> None:
        """A message of so many bytes came."""
        if self._keys is not None:
            self._check(self._keys.may_send(self._key_id))
            self._keys.sent(self._key_id, bytes_count)

    def _take(self, key: str) -> None:
        rate = self._rate
        if rate is None:
            return
        verdict = rate.limiter.take(rate.refill, key)
        if not verdict.allowed:
            self._metrics.http.rate_limited.add()
            raise RateLimited(retry_after_ms=verdict.retry_after_ms)

    def _check(self, found: KeyVerdictOfLimit | None) -> None:
        if found is not None and not found.verdict.allowed:
            self._metrics.http.rate_limited.add()
            self._metrics.keys.limited(self._key_id)
            raise refusal_of(found)
