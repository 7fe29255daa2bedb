"""Where the keys of a provider come from (shell): its JWK set over HTTPS, fetched again and again."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import aiohttp
import structlog

from bridge.clock import Clock
from bridge.errors import SigningKeysUnavailable
from bridge.limits import (
    JWKS_ASKED_INTERVAL_S,
    JWKS_BYTES_MAX,
    JWKS_INTERVAL_S,
    JWKS_STALE_S_MAX,
    JWKS_TIMEOUT_S,
)
from bridge.tokens.signing_keys import SigningKeys, parse_jwks

_log = structlog.get_logger("bridge.tokens")
_NEVER: Final = float("-inf")


class JwksSource:
    """The keys at *url*.

    The address is a setting and nothing that a token says; no redirect is followed, no cookie kept, no proxy of the
    environment used, and the answer has bounds of time and size.

    Args:
        algorithms: for which keys are wanted.
        use: told each new set, and an empty one once the last is too old.
    """

    def __init__(
        self, url: str, algorithms: Collection[str], use: Callable[[SigningKeys], None], clock: Clock
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._use = use
        self._clock = clock
        self._asked_s = _NEVER
        self._fetched_s = _NEVER
        self._fetching: asyncio.Task[None] | None = None

    @property
    def age_s(self) -> float:
        """Seconds since the keys came; infinite where none are in force."""
        return self._clock.monotonic_s() - self._fetched_s

    async def look(self) -> None:
        """Fetch the keys if they are older than `JWKS_INTERVAL_S`, or not there.

        Raises:
            SigningKeysUnavailable: as of `step`.
        """
        if self.age_s >= JWKS_INTERVAL_S:
            await self.step()

    async def step(self) -> None:
        """Fetch the keys now.

        Raises:
            SigningKeysUnavailable: if that fails; those of before stay in force for `JWKS_STALE_S_MAX` since they came.
        """
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name="jwks")
            self._fetching.add_done_callback(self._fetched)
        # Whoever waits may leave; the others still wait for the same answer.
        await asyncio.shield(self._fetching)

    def may_ask(self) -> bool:
        """Whether a token under an unknown key is a reason to fetch them: once in `JWKS_ASKED_INTERVAL_S`, whoever sends it."""
        return (
            self._fetching is not None or self._clock.monotonic_s() - self._asked_s >= JWKS_ASKED_INTERVAL_S
        )

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            # Looked at even where everybody who waited has left.
            task.exception()

    async def _fetch(self) -> None:
        self._asked_s = self._clock.monotonic_s()
        try:
            keys = parse_jwks(await self._body(), self._algorithms)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if self._fetched_s != _NEVER and self.age_s > JWKS_STALE_S_MAX:
                self._fetched_s = _NEVER
                self._use(SigningKeys())
            # Not the error's own text, which may hold the address.
            reason = str(error) if type(error) is ValueError else type(error).__name__
            _log.warning("signing_keys_not_fetched", reason=reason)
            raise SigningKeysUnavailable from error
        self._fetched_s = self._clock.monotonic_s()
        self._use(keys)

    async def _body(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=JWKS_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(self._url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 (HTTP)
                raise ValueError(f"the provider answers {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > JWKS_BYTES_MAX:
                    raise ValueError(f"it has more than {JWKS_BYTES_MAX} bytes")
            return bytes(body)
