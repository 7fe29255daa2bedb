"""API keys, guesses at them, and forged addresses (shared trust, B60, B61)."""

import json
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.limits import FAILED_KEYS_BURST
from bridge.web.handlers.access import principal_of
from tests.support.clock import FakeClock
from tests.support.door import open_door, row
from tests.support.raw_http import Answer, ask, request_bytes

KEY = "ehb_right-key"
LOCKED = HttpConfig(rate_limit_rps=0, api_key=KEY)


def key(value: str, target: str = "/things/a", *lines: str) -> bytes:
    return request_bytes("GET", target, f"X-API-Key: {value}", *lines)


def without_ids(answer: Answer) -> tuple[object, ...]:
    told = {name: value for name, value in answer.problem().items() if name != "request_id"}
    return answer.status, told, answer.header("WWW-Authenticate")


async def show_principal(request: web.Request) -> web.Response:
    return web.json_response({"name": principal_of(request).name, "all": principal_of(request).unrestricted})


WHO = row("GET", "/who", show_principal)


async def test_the_right_key_is_let_in_by_header_bearer_token_and_query() -> None:
    async with open_door(http=LOCKED) as door:
        bearer = request_bytes("GET", "/things/a", f"Authorization: Bearer {KEY}")
        assert (await ask(door.port, bearer)).status == 200
        assert (await ask(door.port, key(KEY))).status == 200
        assert (await ask(door.port, request_bytes("GET", f"/things/a?api_key={KEY}"))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        request_bytes("GET", "/things/a"),
        key("ehb_right-kez"),
        key("EHB_RIGHT-KEY"),
        key("x"),
        key("k" * 4000),
        key(KEY, "/things/a", "X-API-Key: other"),
        key("\xff\xfe"),
        key(KEY, "/things/a", "Authorization: Bearer other"),
        key("other", "/things/a", f"Authorization: Bearer {KEY}"),
        request_bytes("GET", "/things/a", f"Authorization: Basic {KEY}"),
        request_bytes("GET", "/things/a", f"Authorization: Bearer {KEY}", "Authorization: Basic YTpi"),
        request_bytes("GET", "/things/a?api_key=nope"),
        request_bytes("GET", f"/things/a?api_key=nope&api_key={KEY}"),
    ],
    ids=[
        "none",
        "last character",
        "case",
        "short",
        "long",
        "two headers",
        "no text",
        "another bearer token",
        "another key beside the bearer token",
        "another scheme",
        "two authorizations",
        "query",
        "two in the query",
    ],
)
async def test_b60_every_wrong_key_gets_the_same_answer(data: bytes) -> None:
    async with open_door(http=LOCKED) as door:
        answer = await ask(door.port, data)
        assert without_ids(answer) == without_ids(await ask(door.port, key("wrong")))
        assert answer.status == 401
        assert answer.header("WWW-Authenticate") == 'Bearer realm="bridge"'
        assert door.seen == []


@pytest.mark.parametrize(
    "http,lines,name",
    [
        (HttpConfig(rate_limit_rps=0), (), "anonymous"),
        (HttpConfig(rate_limit_rps=0), ("Authorization: Bearer abc", "X-API-Key: def"), "anonymous"),
        (LOCKED, (f"X-API-Key: {KEY}",), "api-key"),
        (LOCKED, (f"Authorization: bearer {KEY}",), "api-key"),
        (LOCKED, (f"Authorization: Bearer {KEY}", f"X-API-Key: {KEY}"), "api-key"),
        (replace(LOCKED, auth_bypass_paths=("/who",)), (), "anonymous"),
        (replace(LOCKED, auth_bypass_paths=("/who",)), ("X-API-Key: wrong",), "anonymous"),
    ],
)
async def test_each_request_that_is_let_in_has_its_principal(
    http: HttpConfig, lines: tuple[str, ...], name: str
) -> None:
    async with open_door(WHO, http=http) as door:
        answer = await ask(door.port, request_bytes("GET", "/who", *lines))
        assert json.loads(answer.body) == {"name": name, "all": True}


async def test_an_unknown_path_is_not_told_from_a_known_one_without_a_key() -> None:
    async with open_door(http=LOCKED) as door:
        assert (await ask(door.port, request_bytes("GET", "/nix"))).status == 401


@pytest.mark.parametrize(
    "target,status",
    [
        ("/health", 200),
        ("/health?x=1", 200),
        ("/ready", 200),
        ("/Health", 401),
        ("/health/", 401),
        ("/%68ealth", 401),
        ("//health", 401),
        ("/health/../things/a", 400),
        ("/things/a?/health", 401),
    ],
)
async def test_bypass_paths_are_matched_exactly(target: str, status: int) -> None:
    async with open_door(http=LOCKED) as door:
        assert (await ask(door.port, request_bytes("GET", target))).status == status


async def test_after_five_wrong_keys_the_next_waits_and_the_right_one_still_passes() -> None:
    async with open_door(http=LOCKED, clock=FakeClock()) as door:
        for _ in range(FAILED_KEYS_BURST):
            assert (await ask(door.port, key("wrong"))).status == 401
        refused = await ask(door.port, key("wrong"))
        assert (refused.status, refused.problem()["error"]) == (429, "too_many_requests")
        assert refused.header("Retry-After") == "10"
        assert (await ask(door.port, key(KEY))).status == 200
        assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 401
        assert (await ask(door.port, request_bytes("GET", "/health"))).status == 200


async def test_missing_keys_lock_nobody_out() -> None:
    async with open_door(http=LOCKED, clock=FakeClock()) as door:
        for _ in range(20):
            assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 401


async def test_a_key_in_the_query_is_named_deprecated_once_and_never_shown(
    log_lines: list[MutableMapping[str, Any]],
) -> None:
    async with open_door(http=LOCKED) as door:
        for _ in range(3):
            await ask(door.port, request_bytes("GET", f"/things/a?api_key={KEY}"))
        await ask(door.port, request_bytes("GET", "/things/a?api_key=wrong-one"))
    assert [line["event"] for line in log_lines].count("key_in_query_is_deprecated") == 1
    assert KEY not in str(log_lines)
    assert "wrong-one" not in str(log_lines)


async def test_b61_a_forged_address_is_ignored(log_lines: list[MutableMapping[str, Any]]) -> None:
    clock = FakeClock()
    async with open_door(http=LOCKED, clock=clock) as door:
        for n in range(FAILED_KEYS_BURST):
            await ask(door.port, key("wrong", "/things/a", f"X-Forwarded-For: 198.51.100.{n}"))
        forged = ("X-Forwarded-For: 127.0.0.9", "X-Real-IP: 127.0.0.9", "Forwarded: for=127.0.0.9")
        assert (await ask(door.port, key("wrong", "/things/a", *forged))).status == 429
    assert {line["client"] for line in log_lines if line["event"] == "request"} == {"127.0.0.1"}


async def test_behind_a_trusted_proxy_clients_are_locked_out_one_by_one() -> None:
    http = HttpConfig(rate_limit_rps=0, api_key=KEY, trusted_proxies=("127.0.0.0/8",))
    async with open_door(http=http, clock=FakeClock()) as door:
        for _ in range(FAILED_KEYS_BURST):
            await ask(door.port, key("wrong", "/things/a", "X-Forwarded-For: 9.9.9.9, 198.51.100.7"))
        guesser = await ask(door.port, key("wrong", "/things/a", "X-Forwarded-For: 8.8.8.8, 198.51.100.7"))
        neighbour = await ask(door.port, key("wrong", "/things/a", "X-Forwarded-For: 198.51.100.8"))
        assert (guesser.status, neighbour.status) == (429, 401)
