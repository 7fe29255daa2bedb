"""Our own speaking of Iggy's protocol beside the SDK's: the same bytes stored, the same refusals understood."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from apache_iggy import IggyClient, SendMessage, UserStatus

from bridge.iggy import wire
from bridge.iggy.address import parse_connection_string
from bridge.iggy.client import Refusal, new_client
from bridge.iggy.faults import Operation, Verdict, explain
from bridge.iggy.line import Line, dial_line
from bridge.iggy.send_requests import SEND, base_offset, send_request
from bridge.messagelog import Durability, First, HeaderValue, NewMessage, ToPartition, TopicRef
from tests.support.iggy_log import iggy_logs, soon, unique
from tests.support.iggy_server import IggyServer, running_server

pytestmark = pytest.mark.iggy

_RECORDS_AT = wire.POLL_HEAD_BYTES + 256

HEADERS: tuple[dict[str, HeaderValue], ...] = (
    {},
    {"text": "ü", "a": "a", "Z": "z"},
    {"bytes": b"\x00\xff", "yes": True, "no": False},
    {f"n{bits}": 2**bits for bits in range(64)},
    {f"n{bits}": 2**bits - 1 for bits in range(65)},
    {f"m{bits}": -(2**bits) for bits in range(64)},
    {f"m{bits}": -(2**bits) - 1 for bits in range(63)},
    {"f": 1.5, "d": 0.1, "big": 1e300, "tiny": 5e-324, "zero": -0.0, "edge": 3.4028234663852886e38},
)


_lines: list[Line] = []


@pytest.fixture(autouse=True)
async def no_line_is_left() -> AsyncIterator[None]:
    yield
    while _lines:
        _lines.pop().abort()


async def _line(connection_string: str) -> Line:
    dialled = await dial_line(parse_connection_string(connection_string), timeout_s=5)
    assert not isinstance(dialled, Refusal), dialled
    _lines.append(dialled.client)
    return dialled.client


async def _sdk(connection_string: str) -> IggyClient:
    client = new_client(parse_connection_string(connection_string))
    await client.connect()
    return client


async def _place(server: IggyServer) -> tuple[IggyClient, TopicRef]:
    client, topic = await _sdk(server.connection_string), TopicRef(unique(), "events")
    await client.create_stream(topic.stream)
    await client.create_topic(*topic, 2)
    return client, topic


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers), "none"))
async def test_a_message_is_stored_byte_for_byte_as_the_sdk_stores_it(
    server: IggyServer, headers: dict[str, HeaderValue]
) -> None:
    client, topic = await _place(server)
    line = await _line(server.connection_string)
    message = NewMessage(b'{"a":1}', 2**127 + 5, headers)
    await client.send_messages(*topic, 0, [SendMessage(message.payload, dict(headers), message.id)])
    reply = await line.send_binary_request(SEND, send_request(topic, 1, [message], 1))
    assert base_offset(reply) == 0
    stored = [
        await line.send_binary_request(wire.POLL, wire.poll_request(topic, partition_id, First(), 9))
        for partition_id in (0, 1)
    ]
    assert stored[0][_RECORDS_AT:] == stored[1][_RECORDS_AT:]
    await client.delete_stream(topic.stream)


async def test_a_batch_is_confirmed_with_its_first_offset_and_kept_in_order(server: IggyServer) -> None:
    client, topic = await _place(server)
    line = await _line(server.connection_string)
    offsets = []
    for start in (0, 300):
        messages = [NewMessage(b"%d" % number, number + 1) for number in range(start, start + 300)]
        offsets.append(base_offset(await line.send_binary_request(SEND, send_request(topic, 0, messages, 1))))
    assert offsets == [0, 300]
    polled = wire.parse_page(
        await line.send_binary_request(wire.POLL, wire.poll_request(topic, 0, First(), 1000)),
        count_max=1000,
        page_bytes_max=2**20,
    )
    assert [message.payload for message in polled.records] == [b"%d" % number for number in range(600)]
    await client.delete_stream(topic.stream)


REFUSED: tuple[tuple[Verdict, int, Callable[[TopicRef], bytes]], ...] = (
    (Verdict.PLACE_MISSING, SEND, lambda t: send_request(t, 7, [NewMessage(b"x")], 1)),
    (Verdict.PLACE_MISSING, SEND, lambda t: send_request(t._replace(topic="no"), 0, [NewMessage(b"x")], 1)),
    (Verdict.PLACE_MISSING, SEND, lambda _: send_request(TopicRef("no", "no"), 0, [NewMessage(b"x")], 1)),
    (Verdict.STREAM_MISSING, wire.POLL, lambda _: wire.poll_request(TopicRef("no", "t"), 0, First(), 1)),
    (Verdict.TOPIC_MISSING, wire.POLL, lambda t: wire.poll_request(t._replace(topic="no"), 0, First(), 1)),
    (Verdict.PARTITION_MISSING, wire.POLL, lambda t: wire.poll_request(t, 7, First(), 1)),
    (Verdict.PLACE_MISSING, wire.STORE_OFFSET, lambda t: wire.store_offset_request(t, 7, "me", 0)),
    (Verdict.OFFSET_MISSING, wire.DELETE_OFFSET, lambda t: wire.delete_offset_request(t, 0, "me")),
    (Verdict.OFFSET_BEYOND_END, wire.STORE_OFFSET, lambda t: wire.store_offset_request(t, 0, "me", 9)),
)


@pytest.mark.parametrize("verdict, code, body", REFUSED)
async def test_a_refusal_of_the_live_server_is_understood(
    server: IggyServer, verdict: Verdict, code: int, body: Callable[[TopicRef], bytes]
) -> None:
    client, topic = await _place(server)
    line = await _line(server.connection_string)
    with pytest.raises(RuntimeError) as caught:
        await line.send_binary_request(code, body(topic))
    assert explain(str(caught.value), Operation.SEND, write=True).verdict is verdict, str(caught.value)
    # The connection is as it was.
    assert await line.ping() == b""
    await client.delete_stream(topic.stream)


async def test_a_wrong_password_and_a_forbidden_write_are_understood(server: IggyServer) -> None:
    client, topic = await _place(server)
    host = server.address
    refused = await dial_line(parse_connection_string(f"iggy://iggy:wrong@{host}"), timeout_s=5)
    assert isinstance(refused, Refusal)
    assert "does not accept the user and password" in refused.detail
    name = unique("u").replace("-", "")[:40]
    await client.create_user(name, "password", UserStatus.Active)
    limited = await _line(f"iggy://{name}:password@{host}")
    with pytest.raises(RuntimeError) as caught:
        await limited.send_binary_request(SEND, send_request(topic, 0, [NewMessage(b"x")], 1))
    assert explain(str(caught.value), Operation.SEND, write=True).verdict is Verdict.FORBIDDEN
    await client.delete_user(name)
    await client.delete_stream(topic.stream)


async def test_a_token_logs_in_as_well(server: IggyServer) -> None:
    client, topic = await _place(server)
    name = unique("t")[:30].encode()
    body = await client.send_binary_request(42, bytes((len(name),)) + name + bytes(8))
    token = body[1 : 1 + body[0]].decode()
    escaped = token.replace("%", "%25").replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")
    line = await _line(f"iggy://{escaped}@{server.address}")
    assert (
        base_offset(await line.send_binary_request(SEND, send_request(topic, 0, [NewMessage(b"x")], 1))) == 0
    )
    await client.delete_stream(topic.stream)


def test_a_log_works_on_the_loop_that_the_bridge_runs_on(server: IggyServer) -> None:
    async def round_trip() -> None:
        async with iggy_logs() as logs:
            log = await logs.open(server.connection_string, durability=Durability.REPLICATED)
            topic = await logs.topic(log)
            # More than one read from a socket gives.
            payload = b"x" * 3_000_000
            receipt = await log.append(topic, ToPartition(0), [NewMessage(payload)], deadline=soon())
            page = await log.read(topic, 0, First(), count=1, deadline=soon())
            assert (receipt.offset, page.messages[0].payload) == (0, payload)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(round_trip())


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def test_tls_is_spoken_and_the_certificate_looked_at(tmp_path: Path) -> None:
    certificate, key = await asyncio.to_thread(_certificate, tmp_path)
    settings = {
        "IGGY_TCP_TLS_ENABLED": "true",
        "IGGY_TCP_TLS_SELF_SIGNED": "false",
        "IGGY_TCP_TLS_CERT_FILE": str(certificate),
        "IGGY_TCP_TLS_KEY_FILE": str(key),
    }

    async def dialled(options: str) -> Any:
        return await dial_line(parse_connection_string(f"{server.connection_string}?{options}"), timeout_s=5)

    with running_server(restartable=True, extra_env=settings) as server:
        trusted = await dialled(f"tls=true&tls_domain=localhost&tls_ca_file={certificate}")
        assert await trusted.client.ping() == b""
        trusted.client.abort()
        unlooked = await dialled("tls=true&tls_validate_certificate=false")
        assert await unlooked.client.ping() == b""
        unlooked.client.abort()
        for options in (
            "tls=true&tls_domain=localhost",
            f"tls=true&tls_domain=elsewhere&tls_ca_file={certificate}",
            f"tls=true&tls_ca_file={tmp_path / 'missing.pem'}",
        ):
            assert isinstance(await dialled(options), Refusal)
