"""Nobody on the way keeps an answer, and whoever does all the same is told what it depends on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import HttpConfig, LogConfig, ObserveConfig
from bridge.process.listeners import Listeners, ProcessContext
from bridge.process.ports import take_ports
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import generic_event
from tests.support.raw_http import Answer, RawConnection, ask, request_bytes

T = "/streams/s/topics/t"
JSON = "Accept: application/json"
# Whole targets, what they answer and with which `Accept`; the first of a bridge that has one message.
NEGOTIATED = {
    "a page": ("/messages?from=first", 200, JSON),
    "an empty page": ("/messages?from=last&partition_id=1", 200, JSON),
    "a page of a topic": (f"{T}/messages?from=first", 200, JSON),
    "a page without a query": ("/messages", 200, JSON),
    "a page by cursor": ("/messages?cursor=first", 200, JSON),
    "a long poll": ("/messages?from=last&wait_ms=1", 200, JSON),
    "a page for whoever accepts anything": ("/messages?from=first", 200, "X-Nothing: 1"),
    "lines": ("/messages?from=first", 200, "Accept: application/x-ndjson"),
    "lines by cursor": ("/messages?cursor=first", 200, "Accept: application/x-ndjson"),
    "events": ("/messages", 200, "Accept: text/event-stream"),
    "events of their own route": ("/messages/stream", 200, "Accept: text/event-stream"),
    "no events": ("/messages/stream", 406, JSON),
    "figures for Prometheus": ("/metrics", 200, "Accept: application/openmetrics-text"),
    "a query that is wrong": ("/messages?count=0", 400, JSON),
    "a topic that is not there": ("/streams/s/topics/nix/messages", 404, JSON),
    "a name that is none": ("/streams/-/topics/t/messages", 400, JSON),
    "a cursor that is none": ("/messages?cursor=nix", 400, "Accept: application/x-ndjson"),
}
PLAIN = {
    "health": ("GET", "/health", 200),
    "health with a query": ("GET", "/health?1", 200),
    "ready": ("GET", "/ready", 200),
    "figures": ("GET", "/stats", 200),
    "streams": ("GET", "/streams", 200),
    "a topic": ("GET", T, 200),
    "stored offsets": ("GET", f"{T}/consumers/c/offsets", 200),
    "groups": ("GET", f"{T}/groups", 200),
    "nothing": ("GET", "/nix", 404),
    "no such method": ("DELETE", "/messages", 405),
    "a body that is missing": ("POST", "/messages", 415),
    "a message": ("POST", "/messages?", 201),
    "a deletion": ("DELETE", f"{T}/consumers/c/offsets", 204),
}


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeApp]:
    http = HttpConfig(rate_limit_rps=0, cors_allowed_origins=("https://app.example",))
    defaults = LogConfig(stream="s", topic="t", partitions=2)
    async with bridge_app(tmp_path, http=http, defaults=defaults) as app:
        await app.call("POST", "/messages", {"event": generic_event(1)})
        yield app


def varies(answer: Answer) -> set[str]:
    return set((answer.header("Vary") or "").split(", "))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target,status,accept", NEGOTIATED.values(), ids=NEGOTIATED.keys())
async def test_what_depends_on_accept_says_so_and_is_not_kept(
    bridge: BridgeApp, method: str, target: str, status: int, accept: str
) -> None:
    connection = await RawConnection.open(bridge.port)
    await connection.send(request_bytes(method, target, accept))
    # Events would go on for ever.
    answer = await connection.answer(head_only=method == "HEAD" or "event-stream" in accept)
    connection.close()

    assert answer.status == status
    assert answer.headers["cache-control"] == ["no-store"]
    assert {"Accept", "Origin"} <= varies(answer)
    assert len(answer.headers["vary"]) == 1


@pytest.mark.parametrize("method,target,status", PLAIN.values(), ids=PLAIN.keys())
async def test_nothing_else_is_kept_either(bridge: BridgeApp, method: str, target: str, status: int) -> None:
    lines, body = [JSON], None
    if status == 201:
        lines, body = [JSON, "Content-Type: application/octet-stream"], b"x"
    elif method == "POST":
        body = b""
    answer = await ask(bridge.port, request_bytes(method, target, *lines, body=body))

    assert answer.status == status
    assert answer.headers["cache-control"] == ["no-store"]
    assert answer.headers["vary"] == ["Origin"]


async def test_lines_depend_on_their_coding_too(bridge: BridgeApp) -> None:
    lines = ("Accept: application/x-ndjson", "Accept-Encoding: gzip", "Origin: https://app.example")
    answer = await ask(bridge.port, request_bytes("GET", "/messages?from=first", *lines))

    assert answer.headers["vary"] == ["Accept, Accept-Encoding, Origin"]


@pytest.mark.parametrize("target,status", [("/messages", 200), ("/streams/s/topics/nix/messages", 404)])
async def test_a_head_that_is_known_is_answered_with_the_same(
    bridge: BridgeApp, target: str, status: int
) -> None:
    connection = await RawConnection.open(bridge.port)
    for _ in range(5):
        await connection.send(request_bytes("GET", target, JSON))
        answer = await connection.answer()
        assert (answer.status, answer.headers["cache-control"]) == (status, ["no-store"])
        assert answer.headers["vary"] == ["Accept, Origin"]
    connection.close()


async def test_a_bridge_that_is_not_ready_and_one_that_cannot_parse_are_not_kept(bridge: BridgeApp) -> None:
    bridge.services.lifecycle.started = False
    unready = await ask(bridge.port, request_bytes("GET", "/ready"))
    rubbish = await ask(bridge.port, b"rubbish\r\n\r\n")

    assert (unready.status, rubbish.status) == (503, 400)
    assert unready.headers["cache-control"] == rubbish.headers["cache-control"] == ["no-store"]


async def test_the_port_of_the_figures_says_the_same(bridge: BridgeApp) -> None:
    main, figures = take_ports("127.0.0.1", 0, 1), take_ports("127.0.0.1", 0, 1)
    context = ProcessContext(port_sockets=main[0], metrics_sockets=figures[0])
    listeners = Listeners(bridge.services, ObserveConfig(metrics_port=1), context, shutdown_timeout_s=1)
    await listeners.open()
    try:
        assert listeners.metrics_port
        for target, status in (("/metrics", 200), ("/nix", 404)):
            answer = await ask(listeners.metrics_port, request_bytes("GET", target))
            assert (answer.status, answer.headers["cache-control"]) == (status, ["no-store"])
    finally:
        await listeners.close()
