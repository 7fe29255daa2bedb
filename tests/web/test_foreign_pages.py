"""A web page that nobody let in changes nothing and reads nothing, with a key or without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.config import HttpConfig, LogConfig, ObserveConfig
from bridge.process.listeners import Listeners, ProcessContext
from bridge.process.ports import take_ports
from bridge.web.handlers.routes import ROUTES
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import generic_event
from tests.support.raw_http import Answer, RawConnection, ask, request_bytes

OPEN = HttpConfig(rate_limit_rps=0)
KEYED = HttpConfig(rate_limit_rps=0, api_key="right-key-0123456789")
T = "/streams/s/topics/t"
FOREIGN = "Origin: https://evil.example"
UPGRADE = (
    *(
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: bridge.v1",
    ),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
PROBES = {("GET", "/health"), ("GET", "/ready")}
NAMES = {"stream": "s", "topic": "t", "group": "g", "consumer": "7", "partition": "0"}
CALLS = [(each.method, each.path.format(**NAMES)) for each in ROUTES]
# What a page sends with no more than a form, a link or a picture; each of them did what it says.
HARM = {
    "empties a topic": ("POST", f"{T}/purge", (), b""),
    "takes a message": ("POST", f"{T}/groups/g/receive", (), b""),
    "moves a consumer on": ("GET", "/messages?consumer_id=7&auto_commit=true", (), None),
    "stores a message": ("POST", "/messages", ("Content-Type: text/plain",), b"x"),
    "deletes a topic": ("DELETE", T, (), None),
    "deletes a stream": ("DELETE", "/streams/s", (), None),
    "follows": ("GET", "/messages/stream", (), None),
    "opens a socket": ("GET", "/ws", UPGRADE, None),
}


@asynccontextmanager
async def running(directory: Path, http: HttpConfig) -> AsyncIterator[BridgeApp]:
    defaults = LogConfig(stream="s", topic="t", partitions=1)
    async with bridge_app(directory, http=http, defaults=defaults) as app:
        headers = {"X-API-Key": http.api_key} if http.api_key else {}
        stored = await app.call("POST", "/messages", {"event": generic_event(1)}, headers=headers)
        assert stored.status == 201
        yield app


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeApp]:
    async with running(tmp_path, OPEN) as app:
        yield app


def named(data: bytes, host: str) -> bytes:
    return data.replace(b"Host: localhost", f"Host: {host}".encode())


async def state(bridge: BridgeApp) -> tuple[Any, ...]:
    """All that a request can change."""
    headers = {"X-API-Key": bridge.services.http.api_key or ""}
    return tuple(
        [
            (answer.status, answer.json)
            for path in ("/streams/s", T, "/messages?from=first", f"{T}/groups", f"{T}/consumers/7/offsets")
            for answer in [await bridge.call("GET", path, headers=headers)]
        ]
    )


async def head_of(port: int, data: bytes) -> Answer:
    """The head of the answer; live ones have no end."""
    connection = await RawConnection.open(port)
    try:
        await connection.send(data)
        return await connection.answer(head_only=True)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "lines,host,status",
    [
        ((FOREIGN,), "localhost", 403),
        (("Origin: null",), "localhost", 403),
        (("Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"), "localhost:8000", 403),
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), "localhost", 403),
        (("Sec-Fetch-Site: same-site",), "localhost", 403),
        (("Origin: http://evil.example:8000", "Sec-Fetch-Site: same-origin"), "evil.example:8000", 421),
        ((), "evil.example:8000", 421),
        ((), "localhost.evil.example", 421),
        ((), "10.0.0.1", 421),
    ],
)
@pytest.mark.parametrize("method,target,more,body", HARM.values(), ids=HARM)
async def test_without_a_key_a_foreign_page_does_no_harm(
    bridge: BridgeApp,
    lines: tuple[str, ...],
    host: str,
    status: int,
    method: str,
    target: str,
    more: tuple[str, ...],
    body: bytes | None,
) -> None:
    before = await state(bridge)
    data = named(request_bytes(method, target, *lines, *more, body=body), host)
    answer = await head_of(bridge.port, data)

    assert answer.status == status
    assert await state(bridge) == before
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method,target", CALLS, ids=[" ".join(call) for call in CALLS])
async def test_every_route_is_closed_to_foreign_pages_and_names_except_for_probes(
    bridge: BridgeApp, method: str, target: str
) -> None:
    port, before = bridge.port, await state(bridge)
    data = request_bytes(method, target, FOREIGN, body=b"" if method in ("POST", "PUT", "PATCH") else None)
    page, name = await ask(port, data), await ask(port, named(data, "evil.example"))
    if (method, target) in PROBES:
        assert (page.status, name.status) == (200, 200)
    else:
        assert (page.status, page.problem()["error"], page.problem()["path"]) == (403, "forbidden", "Origin")
        assert (name.status, name.problem()["error"]) == (421, "misdirected_request")
        assert "ALLOWED_HOSTS" in str(name.problem()["detail"])
        assert "CORS_ALLOWED_ORIGINS" in str(page.problem()["detail"])
    assert await state(bridge) == before


@pytest.mark.parametrize("method,target,more,body", HARM.values(), ids=HARM)
async def test_with_a_key_a_foreign_page_that_has_it_in_the_url_does_no_harm_either(
    tmp_path: Path, method: str, target: str, more: tuple[str, ...], body: bytes | None
) -> None:
    async with running(tmp_path, KEYED) as bridge:
        before = await state(bridge)
        keyed = f"{target}{'&' if '?' in target else '?'}api_key={KEYED.api_key}"
        for line in (FOREIGN, "Sec-Fetch-Site: cross-site"):
            answer = await head_of(bridge.port, request_bytes(method, keyed, line, *more, body=body))
            assert answer.status == 403
        assert await state(bridge) == before


async def test_a_foreign_page_that_guesses_keys_locks_nobody_out(tmp_path: Path) -> None:
    async with running(tmp_path, KEYED) as bridge:
        for _ in range(20):
            guess = request_bytes("GET", "/messages?api_key=wrong", FOREIGN)
            assert (await ask(bridge.port, guess)).status == 403
        assert (await ask(bridge.port, request_bytes("GET", "/messages?api_key=wrong"))).status == 401


@pytest.mark.parametrize(
    "key", [f"X-API-Key: {KEYED.api_key}", f"Authorization: Bearer {KEYED.api_key}"], ids=["key", "bearer"]
)
@pytest.mark.parametrize("host", ["localhost", "bridge.example", "10.0.0.1"])
async def test_a_key_in_its_header_opens_to_any_name_and_origin_since_no_page_can_send_it_unasked(
    tmp_path: Path, host: str, key: str
) -> None:
    async with running(tmp_path, KEYED) as bridge:
        data = named(request_bytes("GET", "/messages", key, FOREIGN), host)
        assert (await ask(bridge.port, data)).status == 200
        # Who may not ask is not told to go on.
        preflight = request_bytes(
            "OPTIONS",
            "/messages",
            FOREIGN,
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: authorization, x-api-key",
        )
        refused = await ask(bridge.port, preflight)
        assert refused.status == 403
        assert "access-control-allow-headers" not in refused.headers
        # A handshake has no preflight, and a page's own headers neither.
        assert (await head_of(bridge.port, request_bytes("GET", "/ws", key, FOREIGN, *UPGRADE))).status == 403


@pytest.mark.parametrize("lines", [(), ("Sec-Fetch-Site: none",), ("Sec-Fetch-Site: same-origin",)])
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "b.localhost"]
)
async def test_programs_and_their_users_are_served_under_every_name_of_this_machine(
    bridge: BridgeApp, lines: tuple[str, ...], host: str
) -> None:
    for method, target, more, body in HARM.values():
        data = named(request_bytes(method, target, *lines, *more, body=body), host)
        assert (await head_of(bridge.port, data)).status in (101, 200, 201, 204, 404)


@pytest.mark.parametrize(
    "allowed,origin,status",
    [
        (("https://app.example",), "https://app.example", 200),
        (("https://app.example",), "https://APP.example:443", 200),
        (("*",), "https://anywhere.example", 200),
        (("*",), "null", 200),
        (("https://app.example",), "http://app.example", 403),
    ],
)
async def test_pages_that_cors_allows_may_do_all_that_the_others_may_not(
    tmp_path: Path, allowed: tuple[str, ...], origin: str, status: int
) -> None:
    async with running(tmp_path, replace(OPEN, cors_allowed_origins=allowed)) as bridge:
        lines = (f"Origin: {origin}", "Sec-Fetch-Site: cross-site")
        read = await ask(bridge.port, request_bytes("GET", "/messages", *lines))
        purge = await ask(bridge.port, request_bytes("POST", f"{T}/purge", *lines, body=b""))
        opened = await head_of(bridge.port, request_bytes("GET", "/ws", *lines, *UPGRADE))
        assert read.status == status
        assert (purge.status, opened.status) == ((204, 101) if status == 200 else (403, 403))
        assert ("access-control-allow-origin" in read.headers) is (status == 200)


async def test_a_head_that_is_known_is_judged_as_one_that_is_not(bridge: BridgeApp) -> None:
    own = request_bytes("GET", "/messages", "Origin: http://localhost")
    for data, status in (
        (own, 200),
        (request_bytes("GET", "/messages", FOREIGN), 403),
        (named(own, "evil"), 421),
    ):
        connection = await RawConnection.open(bridge.port)
        for _ in range(6):
            await connection.send(data)
            assert (await connection.answer()).status == status
        connection.close()


@pytest.mark.parametrize(
    "allowed,host,status",
    [
        (("bridge", "*.svc.cluster.local"), "bridge:80", 200),
        (("bridge", "*.svc.cluster.local"), "bridge.ns.svc.cluster.local", 200),
        (("bridge", "*.svc.cluster.local"), "evil.example", 421),
        (("*",), "evil.example", 200),
    ],
)
async def test_names_that_are_listed_are_served_with_a_key_or_without(
    tmp_path: Path, allowed: tuple[str, ...], host: str, status: int
) -> None:
    for http in (OPEN, KEYED):
        async with running(tmp_path / str(http.api_key), replace(http, allowed_hosts=allowed)) as bridge:
            key = f"X-API-Key: {http.api_key}"
            answer = await ask(bridge.port, named(request_bytes("GET", "/messages", key), host))
            assert answer.status == status


async def test_where_others_reach_it_any_address_will_do_and_no_name(tmp_path: Path) -> None:
    async with running(tmp_path, replace(OPEN, host="0.0.0.0", allow_anonymous=True)) as bridge:
        for host, status in (
            ("10.1.2.3:8000", 200),
            ("[2001:db8::1]:80", 200),
            ("bridge", 421),
            ("evil.example", 421),
        ):
            assert (await ask(bridge.port, named(request_bytes("GET", "/messages"), host))).status == status


@pytest.mark.parametrize(
    "host,lines,status",
    [
        ("x.example:443", ("Origin: https://x.example",), 200),
        ("x.example", ("Origin: https://x.example:443",), 200),
        ("X.EXAMPLE", ("Origin: http://x.example",), 200),
        ("x.example:443", ("Origin: http://x.example",), 403),
        ("x.example:8443", ("Origin: https://x.example",), 403),
        (
            "inner",
            ("Origin: https://x.example", "X-Forwarded-Host: x.example", "X-Forwarded-Proto: https"),
            200,
        ),
        (
            "inner",
            ("Origin: http://x.example", "X-Forwarded-Host: x.example", "X-Forwarded-Proto: https"),
            403,
        ),
        (
            "inner",
            ("Origin: https://x.example:8443", "X-Forwarded-Host: x.example", "X-Forwarded-Port: 8443"),
            200,
        ),
        ("inner", ("Origin: https://x.example", "Forwarded: host=x.example;proto=https"), 200),
        ("inner", ("Origin: https://inner", "X-Forwarded-Host: x.example"), 403),
        ("inner", ("Origin: https://evil.example", "X-Forwarded-Host: evil.example"), 421),
        ("inner", ("Origin: https://x.example", "X-Forwarded-Host: x.example, evil.example"), 421),
        ("inner", ("Origin: https://x.example", "Forwarded: host=evil.example"), 421),
    ],
)
async def test_behind_a_proxy_an_origin_is_compared_with_what_it_forwards(
    tmp_path: Path, host: str, lines: tuple[str, ...], status: int
) -> None:
    http = replace(OPEN, trusted_proxies=("127.0.0.1",), allowed_hosts=("x.example", "inner"))
    async with running(tmp_path, http) as bridge:
        answer = await ask(bridge.port, named(request_bytes("GET", "/messages", *lines), host))
        assert answer.status == status
        opened = await head_of(bridge.port, named(request_bytes("GET", "/ws", *lines, *UPGRADE), host))
        assert opened.status == (101 if status == 200 else status)


async def test_what_is_forwarded_counts_only_from_a_proxy_that_is_trusted_also_where_the_head_is_known(
    tmp_path: Path,
) -> None:
    http = replace(OPEN, trusted_proxies=("127.0.0.2",), allowed_hosts=("x.example",))
    lines = ("Origin: https://x.example", "X-Forwarded-Host: x.example")
    async with running(tmp_path, http) as bridge:
        for address, status in (("127.0.0.2", 200), ("127.0.0.1", 403), ("127.0.0.2", 200)):
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port, local_addr=(address, 0))
            connection = RawConnection(reader, writer)
            for _ in range(5):
                await connection.send(request_bytes("GET", "/messages", *lines))
                assert (await connection.answer()).status == status
            connection.close()


@pytest.mark.parametrize("host,status", [("127.0.0.1", 421), ("0.0.0.0", 200)])
@pytest.mark.parametrize("key", [None, "right-key-0123456789"])
async def test_the_port_of_the_figures_is_open_to_any_name_only_where_others_reach_it(
    bridge: BridgeApp, host: str, status: int, key: str | None
) -> None:
    main, figures = take_ports("127.0.0.1", 0, 1), take_ports("127.0.0.1", 0, 1)
    context = ProcessContext(port_sockets=main[0], metrics_sockets=figures[0])
    services = replace(bridge.services, http=replace(OPEN, host=host, api_key=key))
    listeners = Listeners(services, ObserveConfig(metrics_port=1), context, shutdown_timeout_s=1)
    await listeners.open()
    try:
        port = listeners.metrics_port
        assert port
        scrape = request_bytes("GET", "/metrics")
        assert (await ask(port, scrape)).status == 200
        assert (await ask(port, named(scrape, "bridge.ns.svc:9090"))).status == status
        assert (await ask(port, request_bytes("GET", "/metrics", FOREIGN))).status == 403
    finally:
        await listeners.close()
