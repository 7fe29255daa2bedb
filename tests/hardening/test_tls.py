"""TLS on the port: who is let in, who is not, and that nobody who is not costs more than a connection."""

import asyncio
import contextlib
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from aiohttp import web

from bridge import limits
from bridge.clock import SystemClock
from bridge.config import TlsConfig
from bridge.process.tls import PortTls
from bridge.web.server import accepting, handshakes
from bridge.web.server.accepting import PromptSite
from bridge.web.server.handshakes import Handshakes
from bridge.web.server.requests import CLIENT_CERTIFICATE
from bridge.web.server.runner import BridgeServer
from tests.support.certificates import Authority, Pair
from tests.support.door import Door, open_door, row
from tests.support.figures import by_label
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import Answer, RawConnection, request_bytes

pytestmark = BOTH_LOOPS

AUTHORITY: Final = Authority()
STRANGER: Final = Authority("somebody else")
Lines: TypeAlias = list[MutableMapping[str, Any]]
HELLO: Final = request_bytes("GET", "/who")


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 (what counts it has no event to wait for)
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class TlsDoor:
    """A port that speaks TLS, by files in *directory*."""

    door: Door
    tls: PortTls
    site: PromptSite
    port: int
    directory: Path
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """One that believes the authority, and shows *pair*."""
        return AUTHORITY.client_context(None if pair is None else pair.write(self.directory, "client"))

    async def open(self, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that ends with the door at the latest."""
        opened = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self.opened.append(opened[1])
        return opened

    async def connect(self, context: ssl.SSLContext) -> RawConnection:
        return RawConnection(*await self.open(context))

    async def ask(self, context: ssl.SSLContext, request: bytes = HELLO) -> Answer:
        connection = await self.connect(context)
        await connection.send(request)
        answer = await connection.answer()
        connection.close()
        await self.opened[-1].wait_closed()
        return answer

    def failures(self) -> dict[str, float]:
        return by_label(self.door.services.metrics.tls.handshake_failures)

    async def failed(self, reason: str, count: int = 1) -> None:
        await until(lambda: self.failures().get(reason) == count)

    @property
    def server(self) -> BridgeServer:
        server = self.door.runner.server
        assert isinstance(server, BridgeServer)
        return server


@asynccontextmanager
async def tls_door(
    directory: Path, *, auth: str | None = None, version_min: str = "1.2"
) -> AsyncIterator[TlsDoor]:
    async def who(request: web.Request) -> web.StreamResponse:
        shown = request.get(CLIENT_CERTIFICATE)
        return web.json_response({"secure": request.secure, "names": shown and shown.names})

    certificate, key = AUTHORITY.issue("the first", dns=("localhost",)).write(directory)
    config = TlsConfig(
        cert_file=str(certificate),
        key_file=str(key),
        client_ca_file=auth and str(AUTHORITY.write(directory)),
        client_auth=auth or "required",
        version_min=version_min,
    )
    async with open_door(row("GET", "/who", who)) as door:
        metrics = door.services.metrics
        tls = PortTls(config, metrics.tls, SystemClock())
        await tls.load()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        shaking = Handshakes(tls.context, clock=SystemClock(), failed=metrics.tls.handshake_failures.add)
        site = PromptSite(door.runner, listener, failed=metrics.http.accept_failures.add, handshakes=shaking)
        await site.start()
        opened = TlsDoor(door, tls, site, site.port, directory)
        try:
            yield opened
        finally:
            for each in opened.opened:
                each.transport.abort()
                with contextlib.suppress(OSError):
                    await each.wait_closed()


def disbelieve(port: int) -> None:
    """As most clients do it: with an alert, which asyncio's leaves out."""
    context = STRANGER.client_context()
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


async def is_refused(door: TlsDoor, context: ssl.SSLContext) -> bool:
    """Whether no request is answered; of TLS 1.3 a client hears of its refusal after its own part of the handshake."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await door.ask(context)
        return False
    return True


async def test_a_request_over_tls_is_answered_and_names_nobody(tmp_path: Path) -> None:
    async with tls_door(tmp_path) as door:
        answer = await door.ask(door.client())
        assert (answer.status, answer.body) == (200, b'{"secure": true, "names": null}')


async def test_a_certificate_of_the_right_authority_is_shown_by_its_names(tmp_path: Path) -> None:
    pair = AUTHORITY.issue("billing", dns=("billing.internal",), uris=("spiffe://cluster/billing",))
    async with tls_door(tmp_path, auth="required") as door:
        answer = await door.ask(door.client(pair))
        assert b'["uri:spiffe://cluster/billing", "dns:billing.internal", "cn:billing"]' in answer.body


async def test_without_a_certificate_with_a_strangers_or_one_that_has_ended_nobody_is_let_in(
    tmp_path: Path,
) -> None:
    async with tls_door(tmp_path, auth="required") as door:
        assert await is_refused(door, door.client())
        await door.failed("no_certificate")
        assert await is_refused(door, door.client(STRANGER.issue("billing")))
        await door.failed("certificate_refused")
        assert await is_refused(door, door.client(AUTHORITY.issue("billing", ends_in_s=-60)))
        await door.failed("certificate_refused", 2)
        assert door.server.connections == []


async def test_where_it_is_optional_only_a_false_one_is_refused(tmp_path: Path) -> None:
    async with tls_door(tmp_path, auth="optional") as door:
        assert b'"names": null' in (await door.ask(door.client())).body
        assert b'"cn:billing"' in (await door.ask(door.client(AUTHORITY.issue("billing")))).body
        assert await is_refused(door, door.client(STRANGER.issue("billing")))


@pytest.mark.parametrize("oldest, spoken", [("1.2", "TLSv1_1"), ("1.3", "TLSv1_2")])
async def test_an_older_tls_than_the_oldest_is_refused(tmp_path: Path, oldest: str, spoken: str) -> None:
    async with tls_door(tmp_path, version_min=oldest) as door:
        context = door.client()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[spoken]
        assert await is_refused(door, context)
        await door.failed("protocol")


async def test_plain_http_is_closed_counted_and_told_once(tmp_path: Path, log_lines: Lines) -> None:
    async with tls_door(tmp_path) as door:
        for count in range(1, 21):
            plain = await RawConnection.open(door.port)
            await plain.send(HELLO)
            assert await plain.ended()
            await door.failed("plain_http", count)
        assert [line["event"] for line in log_lines] == ["tls_handshakes_failed"]


async def test_one_who_does_not_believe_the_certificate_is_counted_and_no_error(
    tmp_path: Path, log_lines: Lines
) -> None:
    async with tls_door(tmp_path) as door:
        await asyncio.to_thread(disbelieve, door.port)
        await door.failed("refused_by_client")
        assert all(line["log_level"] == "info" for line in log_lines)


async def test_one_who_leaves_in_the_middle_is_counted(tmp_path: Path) -> None:
    async with tls_door(tmp_path) as door:
        leaver = await RawConnection.open(door.port)
        await leaver.send(b"\x16\x03\x01")
        leaver.reset()
        await door.failed("left")


async def test_a_handshake_that_does_not_come_is_ended_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "TLS_HANDSHAKE_TIMEOUT_S", 0.05)
    async with tls_door(tmp_path) as door:
        silent = await RawConnection.open(door.port)
        assert await silent.ended()
        await door.failed("timeout")


async def test_the_bound_of_an_address_holds_before_the_handshake_and_is_given_back_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_PER_ADDRESS_MAX", 2)
    async with tls_door(tmp_path) as door:
        silent = [await RawConnection.open(door.port) for _ in range(2)]
        third = await RawConnection.open(door.port)
        assert await third.ended()
        assert door.failures() == {}
        for each in silent:
            each.reset()
        await door.failed("left", 2)
        connections = [await door.connect(door.client()) for _ in range(2)]
        for each in connections:
            await each.send(HELLO)
            assert (await each.answer()).status == 200
        assert await is_refused(door, door.client())
        for each in connections:
            each.close()
        await until(lambda: not door.server.connections)
        assert (await door.ask(door.client())).status == 200


async def test_a_connection_outlives_its_certificate_and_a_new_one_is_shown_the_new(tmp_path: Path) -> None:
    async with tls_door(tmp_path) as door:
        old = await door.connect(door.client())
        await old.send(HELLO)
        assert (await old.answer()).status == 200
        AUTHORITY.issue("the second").write(tmp_path)
        await door.tls.load()
        _, writer = await door.open(door.client())
        shown = writer.get_extra_info("peercert")
        assert shown["subject"] == ((("commonName", "the second"),),)
        writer.close()
        await old.send(HELLO)
        assert (await old.answer()).status == 200
        old.close()


async def test_an_authority_that_is_taken_away_is_believed_no_more(tmp_path: Path) -> None:
    async with tls_door(tmp_path, auth="required") as door:
        client = door.client(AUTHORITY.issue("billing"))
        assert (await door.ask(client)).status == 200
        STRANGER.write(tmp_path)
        await door.tls.load()
        assert await is_refused(door, client)


async def test_the_end_does_not_wait_for_those_who_are_slow_to_shake_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "TLS_HANDSHAKE_DRAIN_S", 0.01)
    async with tls_door(tmp_path) as door:
        silent = await RawConnection.open(door.port)
        await silent.send(b"\x16\x03\x01")
        speaking = await door.connect(door.client())
        # Only then is the handshake over on the other side too.
        await speaking.send(HELLO)
        assert (await speaking.answer()).status == 200
        await door.site.stop()
        assert await silent.ended()
        await speaking.send(HELLO)
        assert (await speaking.answer()).status == 200
        speaking.close()


async def test_a_body_too_large_is_answered_over_tls_too(tmp_path: Path) -> None:
    async with tls_door(tmp_path) as door:
        connection = await door.connect(door.client())
        head = request_bytes(
            "POST", "/things/x", "Content-Type: application/json", "Content-Length: 90000000"
        )
        await connection.send(head + b"x" * 100_000)
        assert (await connection.answer()).status == 413
        connection.close()


async def test_one_who_ends_its_side_ends_the_connection_without_a_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with tls_door(tmp_path) as door:
        connection = await door.connect(door.client())
        await connection.send(HELLO)
        assert (await connection.answer()).status == 200
        connection.close()
        await until(lambda: not door.server.connections)
        assert caplog.records == []


async def test_a_reset_in_the_middle_of_a_request_is_no_error(tmp_path: Path, log_lines: Lines) -> None:
    async with tls_door(tmp_path) as door:
        _, writer = await door.open(door.client())
        writer.write(
            request_bytes("POST", "/things/x", "Content-Type: application/json", "Content-Length: 9")
        )
        await writer.drain()
        await until(lambda: bool(door.server.connections))
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
        await until(lambda: not door.server.connections)
        assert all(line["log_level"] == "info" for line in log_lines)
