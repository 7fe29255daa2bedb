"""Limits that bridges count together in a real Redis, which stops, hangs, forgets and comes back."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from bridge.limits import FAILED_KEYS_BURST, FAILED_KEYS_BURST_S
from tests.support.bridge_process import BridgeProcess, connected, get, run_bridge
from tests.support.programs import needs
from tests.support.raw_ws import Dial
from tests.support.redis_server import RedisServer

pytestmark = needs("redis-server")

BURST: Final = 20
KEY: Final = "a key that is long enough"
#: A token comes back each second, however long a test takes.
LIMITS: Final = {"RATE_LIMIT_RPS": "1", "RATE_LIMIT_BURST": str(BURST), "METRICS_PORT": "0"}
#: For claims about what is counted, however busy the machine of the test is: {} seconds are waited for Redis.
WAITING: Final = (
    "from bridge.web import shared_limits; shared_limits.SHARED_LIMITS_TIMEOUT_S = {}; "
    "from bridge.__main__ import main; main()"
)
PATIENT: Final = WAITING.format(20.0)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def environ_of(redis: RedisServer, **more: str) -> dict[str, str]:
    return {"RATE_LIMIT_STORAGE_URI": redis.uri, **LIMITS, **more}


def let_in(port: int, count: int, **headers: str) -> int:
    """How many of *count* requests are let in."""
    return sum(get(port, "/streams", headers)[0] == 200 for _ in range(count))


class Told(NamedTuple):
    """What an answer says of limits."""

    status: int
    body: bytes
    rate_limit: str


def asked(connection: HTTPConnection, headers: Mapping[str, str] | None = None) -> Told:
    """The answer to one of several requests on a connection."""
    connection.request("GET", "/streams", headers=headers or {})
    answer = connection.getresponse()
    return Told(answer.status, answer.read(), str(answer.headers["RateLimit"]))


def errors(port: int, key: str) -> float:
    """How often Redis was asked in vain."""
    figures = get(port, "/metrics", {"X-API-Key": key})[1].decode()
    lines = re.findall(r"^bridge_shared_limits_errors_total\S* (\S+)$", figures, re.MULTILINE)
    return sum(map(float, lines))


def key_with(tmp_path: Path, *limits: str) -> tuple[str, dict[str, str]]:
    """A key with these limits, and the settings of a bridge that takes it."""
    keys = str(tmp_path / "keys.json")
    made = run_bridge("keys", "add", "tenant", "--role", "admin", *limits, "--file", keys)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip(), {"KEYS_FILE": keys, "RATE_LIMIT_RPS": "0"}


@contextmanager
def pair_of(tmp_path: Path, environ: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The ports of two bridges that wait for Redis, however busy the machine of the test is."""
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(BridgeProcess(tmp_path / name, environ, code=PATIENT)) for name in ("a", "b")
        )
        yield one.started(), other.started()


def test_two_bridges_share_one_limit_and_a_flushed_redis_begins_anew(
    tmp_path: Path, redis: RedisServer
) -> None:
    with pair_of(tmp_path, environ_of(redis)) as (one, other):
        began_s, second = time.monotonic(), 0
        assert let_in(one, BURST // 2) == BURST // 2
        with connected(other) as connection:
            while (answer := asked(connection)).status == 200:
                second += 1
        came_back = time.monotonic() - began_s
        assert BURST // 2 <= second <= BURST // 2 + came_back
        assert (answer.status, b"rate_limited" in answer.body) == (429, True)
        assert answer.rate_limit.startswith('"address";r=0;')
        assert get(other, "/ready")[0] == 200
        # The first has counted half by itself, and is asked for the other half.
        assert redis.told("FLUSHALL").startswith(b"+OK")
        assert let_in(one, 5) == 5


def test_wrong_keys_are_counted_together(tmp_path: Path, redis: RedisServer) -> None:
    with pair_of(tmp_path, environ_of(redis, API_KEY=KEY)) as ports:
        began_s, wrong = time.monotonic(), 0
        while (status := get(ports[wrong % 2], "/streams", {"X-API-Key": "wrong"})[0]) == 401:
            wrong += 1
        windows = 1 + int((time.monotonic() - began_s) / FAILED_KEYS_BURST_S)
        assert (status, FAILED_KEYS_BURST <= wrong <= FAILED_KEYS_BURST * windows) == (429, True)
        assert get(ports[0], "/streams", {"X-API-Key": KEY})[0] == 200


async def test_requests_of_a_key_are_counted_together_on_sockets_too(
    tmp_path: Path, redis: RedisServer
) -> None:
    key, settings = key_with(tmp_path, "--requests-per-second", "1", "--burst", str(BURST))
    with pair_of(tmp_path, environ_of(redis, **settings)) as (one, other):
        began_s = time.monotonic()
        assert await asyncio.to_thread(let_in, one, BURST // 2, **{"X-API-Key": key}) == BURST // 2
        async with Dial(other) as dial:
            socket = await dial.open(f"X-API-Key: {key}")
            answers: list[dict[str, Any]] = []
            while not answers or answers[-1]["op"] == "receipt":
                await socket.say("publish", id="p", payload=len(answers))
                answers.append((await socket.frame()).told)
        # The socket was a request as well, and the last was refused.
        assert BURST // 2 <= len(answers) <= BURST // 2 + time.monotonic() - began_s
        assert answers[-1]["problem"]["detail"] == "Too many requests with this key."


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
def test_bytes_of_a_key_are_counted_together(tmp_path: Path, redis: RedisServer, *, chunked: bool) -> None:
    key, settings = key_with(tmp_path, "--bytes-per-second", "100")

    def sent(port: int) -> tuple[int, bytes]:
        with connected(port) as connection:
            headers = {"X-API-Key": key, "Content-Type": "text/plain"}
            body = b"x" * 100_000
            connection.request(
                "POST", "/messages", iter((body,)) if chunked else body, headers, encode_chunked=chunked
            )
            answer = connection.getresponse()
            return answer.status, answer.read()

    with pair_of(tmp_path, environ_of(redis, **settings)) as (one, other):
        status, body = sent(one)
        assert status == 201, body
        # Of a body without a length it is told after the answer.
        while not redis.told("KEYS", "bridge:limits:bucket:key-bytes*").startswith(b"*1"):
            pass
        status, body = sent(other)
        assert (status, b"Too many bytes with this key." in body) == (429, True)


@pytest.mark.parametrize("shares", [True, False], ids=["with", "without"])
def test_a_ticket_opens_one_stream_of_all_replicas_where_they_share_a_redis_and_else_one_on_each(
    tmp_path: Path, redis: RedisServer, *, shares: bool
) -> None:
    settings = {"API_KEY": KEY, "CURSOR_KEY": "the same on both bridges", "RATE_LIMIT_RPS": "0"}
    if shares:
        settings["RATE_LIMIT_STORAGE_URI"] = redis.uri

    def opened(port: int, ticket: str) -> int:
        with connected(port) as connection:
            connection.request("GET", f"/messages/stream?ticket={ticket}")
            return connection.getresponse().status

    with pair_of(tmp_path, settings) as (one, other):
        with connected(one) as connection:
            connection.request("POST", "/tickets", headers={"X-API-Key": KEY})
            ticket = json.loads(connection.getresponse().read())["ticket"]
        assert [opened(one, ticket), opened(one, ticket)] == [200, 401]
        assert opened(other, ticket) == (401 if shares else 200)
        assert opened(other, ticket) == 401


@pytest.mark.parametrize("hangs", [False, True], ids=["stopped", "hanging"])
def test_without_redis_requests_are_served_at_once_by_the_limit_of_each_and_then_together_again(
    tmp_path: Path, redis: RedisServer, *, hangs: bool
) -> None:
    key, settings = key_with(tmp_path, "--requests-per-second", "10000", "--bytes-per-second", "10000")
    settings |= {"RATE_LIMIT_RPS": "1", "RATE_LIMIT_BURST": "10000", "METRICS_PORT": ""}
    code = WAITING.format(2.0)
    with BridgeProcess(tmp_path / "data", environ_of(redis, **settings), code=code) as bridge:
        port = bridge.started()
        assert "shared_limits_in_force" in bridge.events()
        assert redis.process is not None
        if hangs:
            redis.process.send_signal(signal.SIGSTOP)
        else:
            redis.stop()
        # The first to ask, or the look of each second, finds out.
        bridge.until("shared_limits_away")
        before = errors(port, key)
        with connected(port) as connection:
            assert {asked(connection, {"X-API-Key": key}).status for _ in range(300)} == {200}
        # Nobody waited for Redis but those who look whether it is there again.
        assert before <= errors(port, key) < before + 100
        assert "bridge_shared_limits_up 0.0" in get(port, "/metrics", {"X-API-Key": key})[1].decode()
        if hangs:
            redis.process.send_signal(signal.SIGCONT)
        else:
            redis.start()
        bridge.until("shared_limits_in_force")
        assert "bridge_shared_limits_up 1.0" in get(port, "/metrics", {"X-API-Key": key})[1].decode()
        bridge.signal()
        assert bridge.ended() == 0


def test_closed_refuses_what_cannot_be_counted_but_for_probes(tmp_path: Path, redis: RedisServer) -> None:
    redis.stop()
    environ = environ_of(redis, RATE_LIMIT_ON_ERROR="closed")
    with BridgeProcess(tmp_path, environ, code=PATIENT) as bridge:
        port = bridge.started()
        assert "shared_limits_away" in bridge.events()
        status, body = get(port, "/streams")
        assert (status, b'"limits_unavailable"' in body) == (503, True)
        assert get(port, "/ready")[0] == 200
        redis.start()
        bridge.until("shared_limits_in_force")
        assert get(port, "/streams")[0] == 200


def test_closed_refuses_what_cannot_be_counted_of_a_key_alone(tmp_path: Path, redis: RedisServer) -> None:
    redis.stop()
    key, settings = key_with(tmp_path, "--requests-per-second", "1")
    with BridgeProcess(
        tmp_path / "data", environ_of(redis, RATE_LIMIT_ON_ERROR="closed", **settings)
    ) as bridge:
        status, body = get(bridge.started(), "/streams", {"X-API-Key": key})
        assert (status, b'"limits_unavailable"' in body) == (503, True)


def test_a_redis_that_may_not_write_is_away(tmp_path: Path, redis: RedisServer) -> None:
    with BridgeProcess(tmp_path, environ_of(redis)) as bridge:
        port = bridge.started()
        redis.told("REPLICAOF", "127.0.0.1", "1")
        bridge.until("shared_limits_away")
        assert get(port, "/streams")[0] == 200


def test_an_address_that_is_none_is_a_fault_of_the_configuration_and_is_not_repeated(tmp_path: Path) -> None:
    ended = run_bridge(
        "serve", environ={"RATE_LIMIT_STORAGE_URI": "http://u:secret@x", "DATA_DIR": str(tmp_path)}
    )
    assert (ended.returncode, "secret" in ended.stdout + ended.stderr) == (78, False)
