"""Keys of a file at the door: who is let in, who is refused, and what is told of it (shared trust, 3.1 and B60)."""

import json
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.limits import FAILED_KEYS_BURST
from bridge.web.handlers.access import principal_of
from tests.support.clock import FakeClock
from tests.support.door import open_door, row
from tests.support.figures import by_label
from tests.support.keys import OwnedKey, owned_key, ring_of
from tests.support.raw_http import Answer, ask, request_bytes

KEYED = HttpConfig(rate_limit_rps=0, keys_file="keys.json")
BOTH = HttpConfig(rate_limit_rps=0, keys_file="keys.json", api_key="the-one-key")
PAST = datetime(2026, 1, 1, tzinfo=UTC)
RIGHT = owned_key(1, "consume:orders/*", expires_at=datetime(2100, 1, 1, tzinfo=UTC))
ENDED = {
    "expired": owned_key(2, expires_at=PAST),
    "revoked": owned_key(3, revoked_at=PAST),
    "network": owned_key(4, networks=["10.0.0.0/8"]),
}
RING = ring_of(RIGHT, *ENDED.values())


async def show_principal(request: web.Request) -> web.Response:
    principal = principal_of(request)
    return web.json_response(
        [principal.name, principal.key_id, [each.text for each in principal.permissions]]
    )


WHO = row("GET", "/who", show_principal)


def shown(key: OwnedKey | str, target: str = "/who", *lines: str) -> bytes:
    return request_bytes("GET", target, f"X-API-Key: {key if isinstance(key, str) else key.text}", *lines)


def without_ids(answer: Answer) -> tuple[object, ...]:
    told = {name: value for name, value in answer.problem().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}
    return answer.status, told, headers


@pytest.mark.parametrize(
    "data",
    [
        shown(RIGHT),
        request_bytes("GET", "/who", f"Authorization: Bearer {RIGHT.text}"),
        request_bytes("GET", f"/who?api_key={RIGHT.text}"),
    ],
    ids=["header", "bearer", "query"],
)
async def test_whoever_shows_a_key_is_its_principal(data: bytes) -> None:
    async with open_door(WHO, http=KEYED, key_ring=RING) as door:
        answer = await ask(door.port, data)
        assert json.loads(answer.body) == ["key-1", RIGHT.stored.id, ["consume:orders/*"]]
        assert by_label(door.services.metrics.keys.requests) == {RIGHT.stored.id: 1}


async def test_the_one_key_is_right_beside_a_file_of_others() -> None:
    async with open_door(WHO, http=BOTH, key_ring=RING) as door:
        assert json.loads((await ask(door.port, shown("the-one-key"))).body) == ["api-key", None, []]
        assert json.loads((await ask(door.port, shown(RIGHT))).body)[0] == "key-1"


async def test_without_a_key_nobody_is_let_in_where_a_file_is_named_that_holds_none() -> None:
    async with open_door(WHO, http=KEYED, key_ring=ring_of()) as door:
        assert (await ask(door.port, request_bytes("GET", "/who"))).status == 401
        assert (await ask(door.port, shown(RIGHT))).status == 401


@pytest.mark.parametrize(
    "key,verdict",
    [
        *((key, verdict) for verdict, key in ENDED.items()),
        (owned_key(9), "wrong"),
        (RIGHT.text[:-1] + ("0" if RIGHT.text[-1] != "0" else "1"), "wrong"),
        (RIGHT.text.upper(), "wrong"),
        (RIGHT.text[:13], "wrong"),
        ("brk_" + "k" * 4000, "wrong"),
        ("\xff\xfe", "wrong"),
    ],
    ids=[*ENDED, "another bridge's", "last character", "case", "cut", "long", "no text"],
)
async def test_b60_whatever_is_wrong_with_a_key_the_answer_is_the_same_and_the_figures_tell(
    key: OwnedKey | str, verdict: str
) -> None:
    async with open_door(WHO, http=KEYED, key_ring=RING) as door:
        answer = await ask(door.port, shown(key))
        assert answer.status == 401
        assert without_ids(answer) == without_ids(await ask(door.port, shown("nobody's")))
        counted = by_label(door.services.metrics.http.auth_failures)
        assert counted.pop("wrong", 0) == 1 + (verdict == "wrong")
        assert counted == ({} if verdict == "wrong" else {verdict: 1})


async def test_only_wrong_keys_lock_out_and_never_whoever_has_a_right_one() -> None:
    async with open_door(WHO, http=KEYED, key_ring=RING, clock=FakeClock()) as door:
        for _ in range(2 * FAILED_KEYS_BURST):
            assert (await ask(door.port, shown(ENDED["revoked"]))).status == 401
        for _ in range(FAILED_KEYS_BURST):
            assert (await ask(door.port, shown(owned_key(9)))).status == 401
        assert (await ask(door.port, shown(owned_key(9)))).status == 429
        assert (await ask(door.port, shown(RIGHT))).status == 200


async def test_a_key_ends_at_its_second() -> None:
    clock = FakeClock()
    ends = datetime.fromtimestamp(clock.now_us() // 1_000_000, UTC) + timedelta(seconds=60)
    key = owned_key(5, expires_at=ends)
    async with open_door(WHO, http=KEYED, key_ring=ring_of(key), clock=clock) as door:
        assert (await ask(door.port, shown(key))).status == 200
        clock.advance(61)
        assert (await ask(door.port, shown(key))).status == 401


async def test_the_network_of_a_key_is_that_of_the_client_behind_a_trusted_proxy() -> None:
    http = HttpConfig(rate_limit_rps=0, keys_file="keys.json", trusted_proxies=("127.0.0.0/8",))
    async with open_door(WHO, http=http, key_ring=RING) as door:
        inside = await ask(door.port, shown(ENDED["network"], "/who", "X-Forwarded-For: 10.1.2.3"))
        outside = await ask(door.port, shown(ENDED["network"], "/who", "X-Forwarded-For: 192.0.2.1"))
        assert (inside.status, outside.status) == (200, 401)


async def test_the_log_names_the_id_of_a_key_and_never_the_key(
    log_lines: list[MutableMapping[str, Any]],
) -> None:
    async with open_door(WHO, http=KEYED, key_ring=RING) as door:
        for target in ("/who", f"/{RIGHT.text}", f"/who?api_key={RIGHT.text}"):
            await ask(door.port, shown(RIGHT, target))
        await ask(door.port, shown(ENDED["revoked"]))
    lines = [line for line in log_lines if line["event"] == "request"]
    assert [line.get("key_id") for line in lines] == [RIGHT.stored.id] * 3 + [None]
    secrets = (RIGHT.text[13:-7], ENDED["revoked"].text[13:-7])
    assert not any(secret in str(log_lines) for secret in secrets)
