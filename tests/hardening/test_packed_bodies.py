"""Small bodies that are much work to unpack: others have their turn, the deadline is seen, and the key comes first."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.limits import INFLATE_MEMBERS_PER_TURN
from bridge.web.bodies import codings, whole
from bridge.web.bodies.codings import Inflater, inflater_of
from bridge.web.bodies.whole import read_any
from bridge.web.keys import EXCHANGE
from tests.support.clock import FakeClock
from tests.support.door import Door, open_door, row
from tests.support.raw_http import ask, request_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEMBERS = 20_000
PACKED = {"gzip": gzip.compress(b"") * MEMBERS, "zstd": zstd.compress(b"") * MEMBERS}
KEY = "ehb_right-key"


class Others:
    """Counts the turns that the loop gives to others while a body is being unpacked."""

    def __init__(self) -> None:
        self.turns = 0
        self.moved: list[float] = []

    async def run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def unpacking(others: Others, **options: object) -> AsyncIterator[Door]:
    async def take(request: web.Request) -> web.StreamResponse:
        running = asyncio.create_task(others.run())
        try:
            body = await read_any(request, request[EXCHANGE])
        finally:
            running.cancel()
        return web.json_response({"bytes": len(body)}, status=201)

    async with open_door(row("POST", "/packed", take), **options) as door:  # type: ignore[arg-type]
        yield door


def packed(coding: str, *lines: str) -> bytes:
    return request_bytes("POST", "/packed", f"Content-Encoding: {coding}", *lines, body=PACKED[coding])


@pytest.mark.parametrize("coding", PACKED)
async def test_others_have_their_turn_while_empty_members_are_unpacked(coding: str) -> None:
    others = Others()
    async with unpacking(others) as door:
        assert (await ask(door.port, packed(coding))).status == 201
    assert others.turns >= MEMBERS // INFLATE_MEMBERS_PER_TURN


@pytest.mark.parametrize("coding", PACKED)
async def test_unpacking_ends_with_the_requests_time(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, taken = FakeClock(), 0

    class Slow:
        """A second passes with each piece."""

        def __init__(self, real: Inflater) -> None:
            self.end = real.end
            self._feed = real.feed

        def feed(self, compressed: bytes) -> Iterator[bytes]:
            nonlocal taken
            for piece in self._feed(compressed):
                taken += 1
                clock.advance(1.0)
                yield piece

    monkeypatch.setattr(whole, "inflater_of", lambda coding: Slow(inflater_of(coding)))
    async with unpacking(Others(), clock=clock) as door:
        answer = await ask(door.port, packed(coding, "X-Request-Timeout: 10000"))
    assert (answer.status, answer.problem()["error"]) == (504, "timeout")
    assert answer.problem()["outcome"] == "not_written"
    assert taken == 10


@pytest.mark.parametrize("coding", PACKED)
async def test_nothing_is_unpacked_before_the_key_is_checked(
    coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def watched(name: str) -> None:
        real = getattr(codings, name)

        def make(coding: object) -> object:
            made.append(name)
            return real(coding)

        monkeypatch.setattr(codings, name, make)

    watched("_Member")
    async with unpacking(Others(), http=HttpConfig(rate_limit_rps=0, api_key=KEY)) as door:
        # Twice: the second head is a known one, and passes on another way.
        for _ in range(2):
            assert (await ask(door.port, packed(coding))).status == 401
        assert made == []
        for _ in range(2):
            assert (await ask(door.port, packed(coding, f"X-API-Key: {KEY}"))).status == 201
        assert len(made) >= MEMBERS
