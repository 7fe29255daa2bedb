"""How much may come over a socket (shell over `policy.rate_limits` and `policy.key_limits`): by its address, and by its key."""

from collections.abc import Awaitable, Sequence

from bridge.errors import RateLimited
from bridge.policy.key_limits import NO_LIMITS
from bridge.policy.rate_limits import (
    ACKNOWLEDGING,
    ADDRESS,
    BucketDraw,
    RateVerdict,
    acknowledgement_key,
    drawn,
)
from bridge.web.keys import Exchange
from bridge.web.middleware.key_limits import refusal_of
from bridge.web.shared_limits import SharedLimits
from bridge.web.sockets.operations import Ack, Extend, Nack, Publish, SocketOperation, Subscribe


class SocketLimits:
    """What asks the log for something counts as a request does, and every message by its bytes.

    Args:
        exchange: of the request that became the socket, whose key is counted.
        address: whose requests are counted.
    """

    def __init__(self, exchange: Exchange, address: str) -> None:
        rules, key_id = exchange.rules, exchange.key_id
        self._metrics = exchange.services.metrics
        self._shared = exchange.services.shared_limits
        self._buckets = rules.buckets
        self._rate = rules.rate
        self._ring = None if key_id is None else rules.credentials.ring
        self._address = address
        self._key_id = key_id or ""

    def take(self, operation: SocketOperation, bytes_count: int) -> Awaitable[None] | None:
        """This came, in so many bytes; where replicas count together, they answer later.

        Raises:
            RateLimited: if it is too much.
        """
        draws = self._draws(operation, bytes_count)
        if not draws:
            return None
        self._judge(draws, drawn(self._buckets, draws))
        return None if self._shared is None else self._take_of_all(self._shared, draws)

    def _draws(self, operation: SocketOperation, bytes_count: int) -> Sequence[BucketDraw]:
        rate = self._rate
        of_key = NO_LIMITS if self._ring is None else self._ring.limits(self._key_id)
        acknowledges = isinstance(operation, Ack | Nack | Extend)
        if not (acknowledges or isinstance(operation, Publish | Subscribe)):
            return of_key.bytes(bytes_count)
        draws = of_key.request(bytes_count, acknowledges=acknowledges)
        if rate is None:
            return draws
        if acknowledges:
            return [BucketDraw(rate.acknowledgements, acknowledgement_key(self._address)), *draws]
        return [BucketDraw(rate.requests, self._address), *draws]

    async def _take_of_all(self, shared: SharedLimits, draws: Sequence[BucketDraw]) -> None:
        self._judge(draws, await shared.take(draws) or ())

    def _judge(self, draws: Sequence[BucketDraw], verdicts: Sequence[RateVerdict]) -> None:
        for draw, verdict in zip(draws, verdicts, strict=False):
            if verdict.allowed:
                continue
            self._metrics.http.rate_limited.add()
            if draw.limit.name in (ADDRESS, ACKNOWLEDGING):
                raise RateLimited(retry_after_ms=verdict.retry_after_ms)
            self._metrics.keys.limited(self._key_id)
            raise refusal_of(draw.limit.name, verdict)
