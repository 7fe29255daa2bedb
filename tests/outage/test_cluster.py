"""Three Iggy servers that are one: what the bridge does when one of them dies, or hangs and comes back."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator

import pytest

from tests.outage.conftest import Call, Start
from tests.outage.traffic import Caller, Producers, Watch, repeated, stored_events, stored_messages
from tests.outage.watched import PASSWORD, USERNAME
from tests.support.iggy_cluster import Cluster, running_cluster

pytestmark = pytest.mark.iggy

PARTITIONS = 3
SENDERS, REQUESTS, WARM = 6, 4_000, 200
GROUP = "/groups/workers"
_log = logging.getLogger(__name__)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster({"IGGY_ROOT_USERNAME": USERNAME, "IGGY_ROOT_PASSWORD": PASSWORD}) as cluster:
        yield cluster


async def _kill_the_leader(cluster: Cluster) -> None:
    # The first of a new cluster.
    await asyncio.to_thread(cluster.nodes[0].kill)


async def _kill_a_follower(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.nodes[2].kill)


async def _stop_the_leader_for_a_while(cluster: Cluster) -> None:
    cluster.nodes[0].pause()


class Load(Producers):
    """Producers that go on until they are told, and know when the last acknowledgement before a moment was."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.enough = asyncio.Event()

    async def until_enough(self, name: int) -> None:
        for _ in range(REQUESTS):
            if self.enough.is_set():
                return
            await self.one(name, 1, timeout_ms=20_000)


async def _read_on(caller: Caller, cursor: str, ids: set[str]) -> None:
    """Read on from *cursor* until nothing comes, and add what comes to *ids*, each of which must come once."""
    while True:
        page = await caller.ask("GET", f"/messages?cursor={cursor}&count=100")
        assert page.status == 200, page
        cursor = page.body["next_cursor"]
        found = [message["id"] for message in page.body["messages"]]
        assert not ids & set(found)
        ids.update(found)
        if not found:
            return


async def _work(caller: Caller, ids: set[str]) -> None:
    """Receive and settle what a group has, until it has nothing."""
    while True:
        received = await caller.ask(
            "POST", f"/streams/sample-stream/topics/events{GROUP}/receive", {"count": 100}
        )
        assert received.status == 200, received
        messages = received.body["messages"]
        if not messages:
            return
        ids.update(message["id"] for message in messages)
        settled = await caller.ask(
            "POST",
            f"/streams/sample-stream/topics/events{GROUP}/ack",
            {"tokens": [message["token"] for message in messages]},
        )
        assert settled.status == 200, settled


async def _nothing_lost(caller: Caller, load: Producers) -> set[Hashable]:
    """The ids of all that is stored; what callers were told of it must be true."""

    async def is_there() -> bool:
        # Any node may answer a read, and one that follows may lag.
        stored = await stored_messages(caller, PARTITIONS)
        return all(stored.get(place) == event_id for event_id, place in load.acknowledged.items())

    await repeated(is_there)
    stored = await stored_events(caller, PARTITIONS)
    load.account.check(stored)
    return {message.id for messages in stored.values() for message in messages}


@pytest.mark.parametrize(
    "harm, seen",
    [
        pytest.param(_kill_the_leader, True, id="the leader is killed"),
        pytest.param(_kill_a_follower, False, id="a follower is killed"),
        pytest.param(_stop_the_leader_for_a_while, True, id="the leader hangs and comes back"),
    ],
)
async def test_a_cluster_that_loses_a_node_loses_nothing_that_was_acknowledged(
    cluster: Cluster,
    start: Start,
    call: Call,
    harm: Callable[[Cluster], Awaitable[None]],
    seen: bool,
) -> None:
    bridge = start(cluster.addresses[0], {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "1000"})
    async with call(bridge.started()) as caller:
        load, watch = Load(caller), Watch(caller)
        read: set[str] = set()
        worked: set[str] = set()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            for name in range(SENDERS):
                group.create_task(load.until_enough(name))
            await load.acknowledged_more(WARM)
            # What was acknowledged long ago: a node shows what it has not committed yet, and that may go with it.
            first = await caller.get(f"/messages?cursor=first&count={WARM // 2}")
            read.update(message["id"] for message in first.body["messages"])
            cursor = first.body["next_cursor"]
            await harm(cluster)
            harmed_s = time.monotonic()
            before = len(load.acknowledged)
            # What was on its way may still have its answer; more than that is news of a cluster that works again.
            await load.acknowledged_more(SENDERS + WARM)
            _log.info("%d acknowledged again after %.1f s", SENDERS + WARM, time.monotonic() - harmed_s)
            if seen:
                await watch.until(200, 503, 200)
            with contextlib.suppress(ProcessLookupError, RuntimeError):
                cluster.nodes[0].resume()
            await load.acknowledged_more(WARM)
            load.enough.set()
            watch.stop()
            await watching
        assert len(load.acknowledged) > before
        assert watch.states <= {"healthy", "degraded"}
        if not seen:
            assert watch.turns == [200]

        stored = await _nothing_lost(caller, load)
        await _read_on(caller, cursor, read)
        assert read == stored
        await _work(caller, worked)
        assert worked == stored
        _log.info(
            "acknowledged %d, refused %s, not ready for %s s",
            len(load.acknowledged),
            {f"{status} {code} {outcome}": n for (status, code, outcome), n in load.answers.items()},
            [round(each, 1) for each in watch.not_ready_s],
        )
    bridge.signal()
    assert bridge.ended() == 0
