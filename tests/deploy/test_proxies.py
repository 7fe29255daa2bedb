"""Claims about `deploy/proxies` (shell): what a client meets in front of a bridge, through each proxy that is here."""

import contextlib
import json
import re
import ssl
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from bridge import limits
from tests.deploy.manifests import ROOT, settings
from tests.deploy.proxies import CLIENT, NAME, PROXIES, Front, running_proxy
from tests.support.bridge_process import BridgeProcess
from tests.support.events import generic_event
from tests.support.programs import program
from tests.support.raw_ws import upgrade_lines
from tests.support.ws_frames import client_text

SAMPLES: Final = ROOT / "deploy" / "proxies"
#: What a client may write to look like somebody else.
PRETENDED: Final = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Real-IP: 203.0.113.8",
    'Forwarded: for="203.0.113.7"',
)


class Fronted(NamedTuple):
    front: Front
    bridge: BridgeProcess


@pytest.fixture(params=sorted(PROXIES), name="fronted")
def bridge_behind_a_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fronted]:
    for needed in (request.param, "openssl"):
        if program(needed) is None:
            pytest.skip(f"needs {needed} on PATH")
    environ = {"TRUSTED_PROXIES": "127.0.0.1/32", "ALLOWED_HOSTS": NAME}
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(BridgeProcess(tmp_path / "data", environ))
        port = bridge.started()
        yield Fronted(stack.enter_context(running_proxy(request.param, tmp_path, bridge_port=port)), bridge)


def send(front: Front, number: int, *lines: str) -> int:
    body = json.dumps({"event": generic_event(number)}).encode()
    return front.ask("POST", "/messages", *lines, body=body)[0]


@contextlib.contextmanager
def stream(front: Front) -> Iterator[HTTPResponse]:
    """An event stream that has begun."""
    with front.connected() as connection:
        connection.sendall(front.head("GET", "/messages/stream", "Accept: text/event-stream"))
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        assert next_event(response)["event"] == "open"
        yield response


def next_event(response: HTTPResponse) -> dict[str, str]:
    """The fields of the next event; those without data are passed over."""
    fields: dict[str, str] = {}
    while line := response.readline().decode():
        name, _, value = line.rstrip("\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line.strip() and "data" in fields:
            return fields
    raise EOFError


def test_requests_events_and_sockets_pass_and_the_client_is_known_by_its_address(fronted: Fronted) -> None:
    front, bridge = fronted
    assert send(front, 1, *PRETENDED) == 201
    line = bridge.until("request")
    while line["method"] != "POST":
        line = bridge.until("request")
    assert line["client"] == CLIENT
    assert front.ask("GET", "/metrics")[0] == 404
    assert send(front, 2, f"Origin: https://{NAME}:{front.port}") == 201
    assert send(front, 3, "Origin: https://elsewhere.example") == 403
    with stream(front) as events:
        # Each is there before the next one is sent: nothing on the way waits for more.
        for number in range(10, 13):
            assert send(front, number) == 201
            told = json.loads(next_event(events)["data"])
            assert told["event"]["payload"]["data"] == number
    with front.connected() as connection:
        connection.sendall(front.head("GET", "/ws", *upgrade_lines()))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        connection.sendall(client_text(b'{"op":"ping","id":"p"}'))
        read_until(connection, b'"op":"pong","id":"p"}')


def read_until(connection: ssl.SSLSocket, end: bytes) -> bytes:
    got = b""
    while end not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def test_a_drain_behind_a_proxy_tells_streams_where_to_go_on_and_cuts_nothing(fronted: Fronted) -> None:
    front, bridge = fronted
    with stream(front) as events:
        assert send(front, 1) == 201
        next_event(events)
        bridge.signal()
        bye = next_event(events)
        assert bye["event"] == "bye"
        assert json.loads(bye["data"])["cursor"]
        with pytest.raises(EOFError):
            next_event(events)
    assert bridge.ended() == 0
    assert {"shutdown_step_cut", "shutdown_step_failed"}.isdisjoint(bridge.events())
    assert front.ask("GET", "/health")[0] in {502, 503}


def seconds(path: Path, pattern: str) -> float:
    (found,) = re.findall(pattern, path.read_text())
    return float(found)


@pytest.mark.parametrize(
    "sample,idle,silence",
    [
        ("nginx.conf", r"keepalive_timeout (\d+)s", r"proxy_read_timeout (\d+)s"),
        ("Caddyfile", r"\skeepalive (\d+)s", r"response_header_timeout (\d+)s"),
        ("envoy.yaml", r"\{ idle_timeout: (\d+)s", r"stream_idle_timeout: (\d+)s"),
    ],
)
def test_times_of_a_sample_fit_those_of_the_bridge(sample: str, idle: str, silence: str) -> None:
    defaults = {spec.env: default for spec, default in settings()}
    path = SAMPLES / sample
    assert seconds(path, idle) < defaults["KEEPALIVE_TIMEOUT_SECS"]
    assert seconds(path, silence) > limits.WAIT_MS_MAX / 1000
    assert seconds(path, silence) > defaults["OPERATION_TIMEOUT_SECS"]
    assert seconds(path, silence) > max(limits.LIVE_HEARTBEAT_S, limits.WS_PING_INTERVAL_S)


@pytest.mark.parametrize("sample", sorted(each.sample for each in PROXIES.values()))
def test_a_sample_says_that_the_bridge_must_know_the_proxy(sample: str) -> None:
    assert "TRUSTED_PROXIES=" in (SAMPLES / sample).read_text()
