"""A key that has limits of its own, at the door."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from bridge.config import HttpConfig
from tests.support.clock import FakeClock
from tests.support.door import Door, open_door
from tests.support.figures import by_label
from tests.support.keys import OwnedKey, owned_key, ring_of
from tests.support.raw_http import Answer, ask, request_bytes

FREE = owned_key(1)
SLOW = owned_key(2, requests_per_s=1, burst=2)
SMALL = owned_key(3, bytes_per_s=100)
RING = ring_of(FREE, SLOW, SMALL)
KEYED = HttpConfig(rate_limit_rps=0, keys_file="keys.json")
Send: TypeAlias = Callable[[Door, OwnedKey, bytes], Awaitable[Answer]]
BOTH = HttpConfig(rate_limit_rps=100, rate_limit_burst=50, keys_file="keys.json")


async def get(door: Door, key: OwnedKey) -> Answer:
    return await ask(door.port, request_bytes("GET", "/things/a", f"X-API-Key: {key.text}"))


async def post(door: Door, key: OwnedKey, body: bytes) -> Answer:
    lines = (f"X-API-Key: {key.text}", "Content-Type: application/json")
    return await ask(door.port, request_bytes("POST", "/things/a", *lines, body=body))


async def post_chunked(door: Door, key: OwnedKey, body: bytes) -> Answer:
    head = request_bytes(
        "POST",
        "/things/a",
        f"X-API-Key: {key.text}",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
    )
    return await ask(door.port, head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


async def test_requests_beyond_the_limit_of_a_key_get_429_and_other_keys_go_on() -> None:
    async with open_door(http=KEYED, key_ring=RING, clock=FakeClock()) as door:
        answers = [await get(door, SLOW) for _ in range(3)]
        assert [each.status for each in answers] == [200, 200, 429]
        assert answers[0].header("RateLimit-Policy") == '"key";q=2;w=2'
        assert answers[0].header("RateLimit") == '"key";r=1;t=1'
        refused = answers[2]
        assert (refused.problem()["error"], refused.header("Retry-After")) == ("rate_limited", "1")
        assert refused.problem()["detail"] == "Too many requests with this key."
        assert (refused.header("X-RateLimit-Limit"), refused.header("X-RateLimit-Remaining")) == ("2", "0")
        assert (await get(door, FREE)).status == 200
        assert by_label(door.services.metrics.keys.refused)[SLOW.stored.id] == 1


async def test_the_limits_of_address_and_key_are_told_side_by_side() -> None:
    async with open_door(http=BOTH, key_ring=RING, clock=FakeClock()) as door:
        answer = await get(door, SLOW)
        assert answer.header("RateLimit-Policy") == '"key";q=2;w=2, "address";q=50;w=1'
        assert answer.header("RateLimit") == '"key";r=1;t=1, "address";r=49;t=1'


@pytest.mark.parametrize("send", [post, post_chunked])
async def test_a_body_counts_by_its_bytes_however_it_is_framed(send: Send) -> None:
    clock = FakeClock()
    async with open_door(http=KEYED, key_ring=RING, clock=clock) as door:
        assert (await send(door, SMALL, b"x" * 350)).status == 201
        refused = await send(door, SMALL, b"x")
        assert (refused.status, refused.header("Retry-After")) == (429, "3")
        assert refused.problem()["detail"] == "Too many bytes with this key."
        assert 'qu="content-bytes"' in (refused.header("RateLimit-Policy") or "")
        clock.advance(3)
        assert (await send(door, SMALL, b"x")).status == 201
