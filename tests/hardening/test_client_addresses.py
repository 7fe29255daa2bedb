"""Behind a proxy each client is counted and logged as itself, in whatever form the proxy writes it."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from bridge.config import HttpConfig
from bridge.limits import FORWARDED_TOLD_INTERVAL_S
from tests.support.clock import FakeClock
from tests.support.door import open_door
from tests.support.raw_http import RawConnection, ask, request_bytes

Lines = list[MutableMapping[str, Any]]
PROXIED = HttpConfig(rate_limit_rps=1, rate_limit_burst=1, trusted_proxies=("127.0.0.0/8", "10.0.0.0/8"))

FORMS = {
    "X-Forwarded-For: 198.51.100.7": "198.51.100.7",
    "X-Forwarded-For: 198.51.100.7:4711": "198.51.100.7",
    "X-Forwarded-For: 2001:db8::1": "2001:db8::1",
    "X-Forwarded-For: [2001:db8::1]": "2001:db8::1",
    "X-Forwarded-For: [2001:db8::1]:4711": "2001:db8::1",
    'X-Forwarded-For: "[2001:db8::1]:4711"': "2001:db8::1",
    "X-Forwarded-For: 2001:db8::1, 10.1.1.1:80": "2001:db8::1",
    "X-Forwarded-For: fe80::1%eth0": "fe80::1",
    "X-Forwarded-For: [fe80::1%25eth0]:80": "fe80::1",
    "X-Forwarded-For: ::ffff:198.51.100.7": "198.51.100.7",
    "X-Forwarded-For: [::ffff:198.51.100.7]:80": "198.51.100.7",
    "X-Forwarded-For: , 198.51.100.7": "198.51.100.7",
    "X-Real-IP: [2001:db8::1]:4711": "2001:db8::1",
    'Forwarded: for="[2001:db8::1]:4711"': "2001:db8::1",
    "Forwarded: for=192.0.2.1, FOR=198.51.100.7;proto=https;by=10.0.0.1": "198.51.100.7",
}
UNREAD = {
    "X-Forwarded-For: unknown": "unknown",
    "X-Forwarded-For: Unknown:4711": "unknown",
    "X-Forwarded-For: _hidden, _x9": "obfuscated",
    "X-Forwarded-For: 198.51.100.7, s3cr3t": "no_address",
    "X-Forwarded-For: 198.51.100.7:99999x": "no_address",
    "X-Real-IP: s3cr3t": "no_address",
    'Forwarded: for="s3cr3t': "no_address",
    f"X-Forwarded-For: s3cr3t{'x' * 200}": "too_long",
}


def clients(lines: Lines) -> list[str]:
    return [line["client"] for line in lines if line["event"] == "request"]


def told(lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == "forwarded_client_not_read"]


@pytest.mark.parametrize("line,client", FORMS.items(), ids=FORMS)
async def test_a_client_is_limited_for_itself_alone_in_every_form(
    log_lines: Lines, line: str, client: str
) -> None:
    async with open_door(http=PROXIED, clock=FakeClock()) as door:
        others = await ask(door.port, request_bytes("GET", "/things/a"))
        first = await ask(door.port, request_bytes("GET", "/things/a", line))
        second = await ask(door.port, request_bytes("GET", "/things/a", line))

    assert (others.status, first.status, second.status) == (200, 200, 429)
    assert clients(log_lines) == ["127.0.0.1", client, client]
    assert not told(log_lines)


@pytest.mark.parametrize("line,why", UNREAD.items(), ids=UNREAD)
async def test_what_names_nobody_is_told_once_a_peer_and_never_shown(
    log_lines: Lines, line: str, why: str
) -> None:
    clock = FakeClock()
    async with open_door(http=PROXIED, clock=clock) as door:
        for _ in range(3):
            await ask(door.port, request_bytes("GET", "/things/a", line))
        assert [(each["why"], each["proxy"], each["counted_as"]) for each in told(log_lines)] == [
            (why, "127.0.0.1", "127.0.0.1")
        ]
        clock.advance(FORWARDED_TOLD_INTERVAL_S)
        await ask(door.port, request_bytes("GET", "/things/a", line))
        assert len(told(log_lines)) == 2
    assert "s3cr3t" not in str(log_lines)


async def test_a_head_that_is_known_still_names_its_client(log_lines: Lines) -> None:
    http = HttpConfig(rate_limit_rps=0, trusted_proxies=("127.0.0.1",))
    async with open_door(http=http) as door:
        connection = await RawConnection.open(door.port)
        for _ in range(5):
            await connection.send(request_bytes("GET", "/things/a", "X-Forwarded-For: [2001:db8::1]:4711"))
            assert (await connection.answer()).status == 200
        connection.close()
    assert clients(log_lines) == ["2001:db8::1"] * 5


async def test_nobody_is_told_of_whom_no_one_believes(log_lines: Lines) -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=0)) as door:
        await ask(door.port, request_bytes("GET", "/things/a", "X-Forwarded-For: unknown"))
    assert clients(log_lines) == ["127.0.0.1"]
    assert not told(log_lines)
