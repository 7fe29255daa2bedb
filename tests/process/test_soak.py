"""
Mixed load on a real bridge for a while: what it holds (memory, tasks, threads, descriptors, time series) does not grow.

`SOAK_SECS=600` for ten minutes (`make soak`); figures are printed with `-s`.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.outage.watched import COUNTED
from tests.support.bridge_process import BridgeProcess
from tests.support.checker import Account
from tests.support.events import generic_event
from tests.support.senders import stored_texts

SOAK_S = float(os.environ.get("SOAK_SECS", "20"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
#: The first part fills what is bounded: caches, pools, the allocator's arenas.
WARM_SHARE = 1 / 3
#: What is kept of messages, at sizes that this load fills in that part: at their own it takes hours, and whatever else grows
#: hides behind them. That they take no more than their bounds is claimed in tests/unit/locallog/test_weights.py.
SMALL_MEMORIES = {
    "HOT_PAGES_BYTES_MAX": 2 * 1024 * 1024,
    "LOCAL_HOT_CHUNKS_BYTES_MAX": 2 * 1024 * 1024,
    "LOCAL_HOT_PAGES_BYTES_MAX": 2 * 1024 * 1024,
    "LOCAL_NEWEST_BYTES_MAX": 2 * 1024 * 1024,
    "KNOWN_PAYLOADS_BYTES_MAX": 2 * 1024 * 1024,
    "GROUP_AHEAD_BYTES_MAX": 2 * 1024 * 1024,
    "FEEDS_BYTES_MAX": 2 * 1024 * 1024,
}
CODE = f"from bridge import limits\nvars(limits).update({SMALL_MEMORIES})\n{COUNTED}"
SAMPLE_S = 0.5
KINDS, TURNS_MIN = 12, 6
TOPIC = "/streams/sample-stream/topics/events"
PARTITIONS = 3
#: At most 5 % in the time after that, or so much: the allocator's arenas of six threads settle slowly.
GROWN_SHARE, GROWN_BYTES = 0.05, 8 * 1024 * 1024
TASKS_MORE, SETTLED_S = 8, 30.0
SERIES_OF_A_TOPIC, TOPICS_IN_HALF_A_MINUTE = 8, 60
ENVIRON = {"RATE_LIMIT_RPS": "0", "STATS_CACHE_TTL_SECS": "1"}


class Sample(NamedTuple):
    resident_bytes: int
    descriptors: int
    threads: int
    series: int


class Load:
    """
    Callers of every kind, each with a pause between two of its calls.

    Attributes:
        done: how many calls of each kind were answered as they should be.
    """

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.account = Account(SEED)
        self.done: dict[str, int] = {}
        self._session = session
        self._base = base
        self._rng = random.Random(SEED)
        self._over = asyncio.Event()

    async def call(self, method: str, path: str, expected: int, **options: Any) -> Any:
        async with self._session.request(method, self._base + path, **options) as response:
            body = await response.read()
            assert response.status == expected, (method, path, response.status, body[:300])
            return json.loads(body) if body and "json" in response.content_type else None

    async def every(self, kind: str, pause_s: float, work: Callable[[int], Awaitable[object]]) -> None:
        for number in count():
            if self._over.is_set():
                return
            await work(number)
            self.done[kind] = number + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), pause_s * self._rng.uniform(0.5, 1.5))

    @property
    def is_enough(self) -> bool:
        """Whether each kind of caller had its turns, however little of the machine there was for them."""
        return len(self.done) == KINDS and min(self.done.values()) >= TURNS_MIN

    def end(self) -> None:
        self._over.set()

    def callers(self) -> list[Coroutine[Any, Any, None]]:
        senders = [self.every(f"send {n}", 0.02, partial(self._send, n)) for n in range(4)]
        return [
            *senders,
            self.every("batch", 0.1, self._batch),
            self.every("poll", 0.02, self._poll),
            self.every("group", 0.05, self._work),
            self.every("stream", 0.2, self._stream),
            self.every("socket", 0.2, self._socket),
            self.every("refused", 0.05, self._refused),
            self.every("topics", 0.5, self._topics),
            self.every("stranger", 0.1, self._stranger),
        ]

    async def _send(self, sender: int, number: int) -> None:
        text = f"{sender} {number} " + "x" * (number * 37 % 900)
        self.account.send(text, text.encode(), writer=sender)
        answer = await self.call(
            "POST", f"{TOPIC}/messages", 201, data=text, headers={"Content-Type": "text/plain"}
        )
        self.account.acknowledge(text, answer["partition_id"], answer["offset"])

    async def _batch(self, number: int) -> None:
        events = [generic_event({"n": number}) for _ in range(20)]
        await self.call(
            "POST", "/streams/sample-stream/topics/batches/messages/batch", 201, json={"events": events}
        )

    async def _poll(self, number: int) -> None:
        await self.call("GET", f"{TOPIC}/messages?partition_id={number % PARTITIONS}&from=last&count=20", 200)

    async def _work(self, number: int) -> None:
        group = f"{TOPIC}/groups/g{number % 3}"
        received = await self.call("POST", f"{group}/receive", 200, json={"count": 20, "wait_ms": 10})
        tokens = [message["token"] for message in received["messages"]]
        if tokens:
            await self.call("POST", f"{group}/ack", 200, json={"tokens": tokens})

    async def _stream(self, _number: int) -> None:
        async with self._session.get(f"{self._base}{TOPIC}/messages/stream") as response:
            assert response.status == 200
            await response.content.readline()

    async def _socket(self, number: int) -> None:
        async with self._session.ws_connect(f"{self._base}/ws", protocols=["bridge.v1"]) as socket:
            await socket.send_json({"op": "ping", "id": str(number)})
            await socket.receive()

    async def _refused(self, number: int) -> None:
        """Names that nobody has seen before, in every place where a name may be."""
        name = f"n{self._rng.getrandbits(64):x}x"
        paths = (
            f"/streams/{name}",
            f"/streams/sample-stream/topics/{name}",
            f"{TOPIC}/consumers/{name}/offsets/0",
            f"/{name}",
        )
        async with self._session.get(self._base + paths[number % len(paths)]) as response:
            assert response.status in (200, 404), response.status

    async def _topics(self, number: int) -> None:
        name = f"t{number}x"
        path = f"/streams/sample-stream/topics/{name}"
        await self.call("POST", "/streams/sample-stream/topics", 201, json={"name": name, "partitions": 1})
        await self.call("POST", f"{path}/messages", 201, data=name, headers={"Content-Type": "text/plain"})
        await self.call("DELETE", path, 204)

    async def _stranger(self, _number: int) -> None:
        """A connection of its own, broken off in the middle of a request."""
        host, port = self._base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()


def sample(pid: int, series: int) -> Sample:
    proc = Path("/proc") / str(pid)
    return Sample(
        resident_bytes=int((proc / "statm").read_text().split()[1]) * 4096,
        descriptors=len(list((proc / "fd").iterdir())),
        threads=len(list((proc / "task").iterdir())),
        series=series,
    )


async def sampled(load: Load, pid: int) -> list[Sample]:
    samples = []
    until_s = time.monotonic() + SOAK_S
    while time.monotonic() < until_s or not load.is_enough:
        async with load._session.get(f"{load._base}/metrics") as response:
            lines = (await response.text()).splitlines()
        series = sum(not line.startswith("#") for line in lines)
        samples.append(await asyncio.to_thread(sample, pid, series))
        await asyncio.sleep(SAMPLE_S)
    return samples


def growth(figures: list[int]) -> float:
    """By how much they grow from the first to the last, along the line that fits them best."""
    slope, _ = statistics.linear_regression(range(len(figures)), figures)
    return slope * (len(figures) - 1)


def tasks_of(bridge: BridgeProcess) -> int:
    bridge.signal(signal.SIGUSR1)
    return int(bridge.until("census")["tasks"])


async def soak(port: int, pid: int) -> tuple[Load, list[Sample]]:
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(session, base)
        await load.call(
            "POST", "/streams/sample-stream/topics", 201, json={"name": "batches", "partitions": 1}
        )
        async with asyncio.TaskGroup() as group:
            for caller in load.callers():
                group.create_task(caller)
            samples = await sampled(load, pid)
            load.end()
        return load, samples


@pytest.mark.timeout(SOAK_S * 3 + 240)
def test_what_a_bridge_holds_does_not_grow_under_mixed_load(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", ENVIRON, code=CODE) as bridge:
        port = bridge.started()
        before = tasks_of(bridge)
        load, samples = asyncio.run(soak(port, bridge.process.pid))
        # All callers have left at once, and their connections end one after the other.
        until_s = time.monotonic() + SETTLED_S
        while (after := tasks_of(bridge)) > before + TASKS_MORE and time.monotonic() < until_s:
            pass
        settled = samples[int(len(samples) * WARM_SHARE) :]
        grown = Sample(*(round(growth([each[n] for each in settled])) for n in range(len(Sample._fields))))
        first, last = settled[0], settled[-1]
        print(f"\n{SOAK_S:.0f} s, tasks {before} -> {after}\n{first}\n{last}\ngrown {grown}\n{load.done}")  # noqa: T201
        load.account.check(stored_texts(port, f"{TOPIC}/messages", PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0
    assert load.is_enough
    assert grown.resident_bytes < max(GROWN_BYTES, GROWN_SHARE * first.resident_bytes)
    # Samples fall anywhere between a caller's coming and going.
    assert grown.descriptors < 16
    assert grown.threads < 4
    # Those of a deleted topic are tidied up twice a minute, and the topics of half a minute are there at any time.
    assert grown.series < SERIES_OF_A_TOPIC * TOPICS_IN_HALF_A_MINUTE
    assert after <= before + TASKS_MORE
