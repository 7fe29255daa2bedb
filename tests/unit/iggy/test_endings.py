"""
A write ends once, and its end is true: over all orders of answers, late answers, refusals, losses, deadlines and
cancellations, with the session, the lanes and the gathering of production over a client that answers when told.
"""

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

from apache_iggy import IggyClient
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import limits
from bridge.clock import Deadline
from bridge.config import IggyConfig
from bridge.errors import BridgeError, LogError, Outcome
from bridge.flow.appending.batching import BatchingAppender
from bridge.iggy.client import Dialled, Refusal, refusal
from bridge.iggy.message_log import IggyMessageLog
from bridge.iggy.pool import Slot
from bridge.iggy.topics import KnownTopic
from bridge.messagelog import Durability, NewMessage, Receipt, ToPartition, TopicRef
from bridge.telemetry.metrics import LogMetrics
from tests.support.timers import settled
from tests.support.virtual_time import LoopClock, VirtualTimeLoop, pass_s, run_in_virtual_time

TOPIC = TopicRef("s", "t")
PARTITIONS = 2
#: What the SDK says of a request that the server did not look at.
REFUSALS = ("Not connected", "Request transiently not accepted; retry, on any replica", "Unauthenticated")
#: What it says when nobody knows.
DOUBTS = ("Disconnected", "Cannot establish connection", "Request transiently not committed; retry")


class Request:
    """A send that the SDK has, and what came of it."""

    def __init__(self, body: bytes) -> None:
        self.payloads = re.findall(rb"<<\d+>>", body)
        # The partition stands behind its kind, 2, and the length of a number, 4.
        self.partition_id = body[body.index(b"\x02\x04") + 2]
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.done = False


class Server:
    """
    What stands behind every client of a scenario.

    Attributes:
        stored: payloads by partition, in order of offset.
        silent: signs of life are not answered, and nobody is let in.
    """

    def __init__(self) -> None:
        self.stored: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.requests: list[Request] = []
        self.pings: list[asyncio.Future[None]] = []
        self.silent = False

    def hush(self, *, silent: bool) -> None:
        self.silent = silent
        if not silent:
            for ping in self.pings:
                if not ping.done():
                    ping.set_result(None)

    def store(self, request: Request) -> int:
        log = self.stored[request.partition_id]
        log.extend(request.payloads)
        return len(log) - len(request.payloads)

    def end(self, request: Request, how: str) -> None:
        """The server, or the SDK, has done with *request*, whoever still listens."""
        if request.done:
            return
        request.done = True
        if how in REFUSALS or how in DOUBTS:
            request.reply.set_exception(RuntimeError(how))
        elif how == "repetition":
            request.reply.set_result(b"")
        elif how.startswith("stored, then "):
            self.store(request)
            request.reply.set_exception(RuntimeError(how.removeprefix("stored, then ")))
        else:
            offset = self.store(request)
            request.reply.set_result((1).to_bytes(4, "little") + bytes(12) + offset.to_bytes(8, "little"))


class Client:
    """The part of the SDK's client that sends use."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def ping(self) -> "asyncio.Future[None]":
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server.pings.append(answer)
        if not self._server.silent:
            answer.set_result(None)
        return answer

    def send_binary_request(self, code: int, body: bytes) -> "asyncio.Future[bytes]":
        assert code == 101
        request = Request(body)
        self._server.requests.append(request)
        return request.reply


async def _known(topic: TopicRef, *, deadline: Deadline) -> KnownTopic:
    return KnownTopic(PARTITIONS, Durability.PERSISTED, 1e9)


class Scene:
    """The callers of a scenario and all that they talk to."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self.loop = loop
        self.server = Server()
        self.clock = LoopClock(loop)
        self.log = IggyMessageLog(
            IggyConfig(connection_string="iggy://user:pass@host", reconnect_base_delay_ms=100),
            durability=Durability.PERSISTED,
            clock=self.clock,
            observer=LogMetrics(),
            rng=random.Random(7),
        )
        self.log._catalogue.known = _known  # type: ignore[method-assign]
        self.appender = BatchingAppender(self.log, probe=self.log)
        self.callers: list[tuple[bytes, asyncio.Task[Receipt]]] = []

    def send(self, partition_id: int, seconds: float) -> None:
        payload = b"<<%d>>" % len(self.callers)
        append = self.appender.append(
            TOPIC,
            ToPartition(partition_id),
            [NewMessage(payload)],
            deadline=Deadline.after(seconds, self.clock),
        )
        self.callers.append((payload, asyncio.create_task(append)))

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("send", partition_id, seconds):
                self.send(partition_id, seconds)
            case ("end", which, how):
                left = [request for request in self.server.requests if not request.done]
                if left:
                    self.server.end(left[which % len(left)], how)
            case ("lose", silent):
                connection = self.log._connection
                connection.lost(connection.generation, "lost", silent=silent)
            case ("hush", silent):
                self.server.hush(silent=silent)
            case ("cancel", which):
                if self.callers:
                    self.callers[which % len(self.callers)][1].cancel()
            case ("pass", seconds):
                await pass_s(self.loop, seconds)
            case _:
                await asyncio.sleep(0)
                return
        await settled()

    def check(self) -> None:
        everything = [payload for log in self.server.stored for payload in log]
        assert len(set(everything)) == len(everything), "stored twice"
        for payload, task in self.callers:
            assert task.done(), "a caller without an end"
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                receipt = task.result()
                assert receipt.offset is not None
                assert self.server.stored[receipt.partition_id][receipt.offset] == payload
            else:
                assert isinstance(error, BridgeError), error
                assert isinstance(error, LogError)
                assert error.outcome is not None
                if error.outcome is Outcome.NOT_WRITTEN:
                    assert payload not in everything, "said not to be written, and is"
        assert not any(slot.taken for lane in self.log._connection.lanes for slot in lane.slots)
        backlog = self.appender._backlog
        assert (self.appender._queues, backlog.appends_count, backlog.size_bytes) == ({}, 0, 0)


@contextmanager
def dialled(scene: Scene) -> Iterator[None]:
    async def dial(
        *_: object, slot: Slot | None = None, timeout_s: float, spoke_before: bool
    ) -> Dialled | Refusal:
        if scene.server.silent:
            try:
                async with asyncio.timeout(timeout_s):
                    # The SDK's own connect.
                    await scene.log._connection.calls.answer(scene.loop.create_future(), slot)
            except TimeoutError:
                return Refusal("The Iggy server does not answer.", "timeout", silent=True)
            except RuntimeError as error:
                return refusal(str(error), spoke_before=spoke_before)
        return Dialled(cast("IggyClient", Client(scene.server)), "0.9.0")

    async def roster_of(*_: object, timeout_s: float) -> tuple[str, ...]:
        return ()

    with patch("bridge.iggy.connection.dial", dial), patch("bridge.iggy.connection.roster_of", roster_of):
        yield


async def play(steps: list[tuple[Any, ...]]) -> Scene:
    loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
    scene = Scene(loop)
    with dialled(scene):
        running = asyncio.create_task(scene.log.run())
        await settled()
        for step in steps:
            await scene.do(step)
        # Time for every deadline; then for what the SDK still has, which must change nothing any more.
        scene.server.hush(silent=False)
        await pass_s(loop, 40, step_s=0.5)
        for request in scene.server.requests:
            scene.server.end(request, "stored")
        await pass_s(loop, 10, step_s=0.5)
        await scene.appender.close()
        await scene.log.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return scene


ENDS = ("stored", "repetition", *REFUSALS, *DOUBTS, *(f"stored, then {doubt}" for doubt in DOUBTS))
STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, PARTITIONS - 1), st.sampled_from([0.3, 1.0, 6.0, 20.0])),
    st.tuples(st.just("send"), st.integers(0, PARTITIONS - 1), st.sampled_from([0.3, 1.0, 6.0, 20.0])),
    st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from(ENDS)),
    st.tuples(st.just("end"), st.integers(0, 5), st.just("stored")),
    st.tuples(st.just("lose"), st.booleans()),
    st.tuples(st.just("hush"), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.sampled_from([0.05, 0.2, 1.0, 3.0])),
    st.just(("turn",)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_every_write_ends_once_and_what_its_caller_hears_is_true(steps: list[tuple[Any, ...]]) -> None:
    async def main() -> None:
        (await play(steps)).check()

    run_in_virtual_time(main())


def test_a_late_answer_ends_nothing_that_came_after_it() -> None:
    """The server stands still for longer than the deadlines, is asked for a sign of life meanwhile, and goes on."""

    async def main() -> None:
        scene = await play(
            [
                ("send", 0, 20.0),
                ("end", 0, "stored"),
                *(("send", 0, 1.0) for _ in range(4)),
                ("hush", True),
                *(("send", 0, 6.0) for _ in range(4)),
                ("pass", 3.0),
                ("lose", True),
                ("send", 0, 60.0),
                ("hush", False),
                # Whoever was dialling meanwhile has given up after this.
                ("pass", 18.0),
                *(step for _ in range(4) for step in (("end", 0, "stored"), ("pass", 1.0))),
            ]
        )
        scene.check()
        # The last one's turn came after the pause, over a connection of its own.
        payload, last = scene.callers[-1]
        assert scene.server.stored[0][last.result().offset or 0] == payload

    run_in_virtual_time(main())


def test_a_write_that_never_left_says_so_and_the_log_is_told_to_be_away() -> None:
    async def main() -> None:
        scene = await play(
            [
                ("hush", True),
                ("pass", 1.0),
                ("send", 0, 0.3),
                ("pass", 1.0),
                ("send", 0, 0.3),
                ("send", 1, 6.0),
            ]
        )
        scene.check()
        outcomes = [cast("LogError", task.exception()) for _, task in scene.callers]
        assert [error.outcome for error in outcomes[:2]] == [Outcome.NOT_WRITTEN] * 2
        assert scene.server.stored[0] == []

    run_in_virtual_time(main())


def test_a_dial_that_hears_nothing_raises_doubt_as_a_request_does() -> None:
    async def main() -> None:
        scene = Scene(cast("VirtualTimeLoop", asyncio.get_running_loop()))
        with dialled(scene):
            running = asyncio.create_task(scene.log.run())
            await settled()
            scene.server.hush(silent=True)
            # Its lane has no client yet.
            scene.send(0, 30.0)
            await pass_s(scene.loop, limits.IGGY_SILENCE_S + limits.IGGY_PROBE_S + 0.5)
            assert scene.log.health().state == "reconnecting"
            assert not any(slot.taken for lane in scene.log._connection.send_lanes for slot in lane.slots)
            scene.server.hush(silent=False)
            await pass_s(scene.loop, limits.IGGY_CONNECT_TIMEOUT_S + 2)
            scene.server.end(scene.server.requests[0], "stored")
            await settled()
            assert scene.callers[0][1].result().offset == 0
            await scene.appender.close()
            await scene.log.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_in_virtual_time(main())


def test_a_probe_that_only_waited_for_the_connection_does_not_end_it() -> None:
    async def main() -> None:
        scene = Scene(cast("VirtualTimeLoop", asyncio.get_running_loop()))
        with dialled(scene):
            running = asyncio.create_task(scene.log.run())
            await settled()
            running.cancel()
            connection = scene.log._connection
            connection.lost(connection.generation, "lost")
            probe = asyncio.create_task(scene.log.probe(deadline=Deadline.after(2.0, scene.clock)))
            await pass_s(scene.loop, 1.9)
            running = asyncio.create_task(scene.log.run())
            await settled()
            assert scene.log.health().state == "connected"
            scene.server.hush(silent=True)
            generation = connection.generation
            await pass_s(scene.loop, 0.3)
            await asyncio.gather(probe, return_exceptions=True)
            assert (scene.log.health().state, connection.generation) == ("connected", generation)
            scene.server.hush(silent=False)
            await scene.log.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_in_virtual_time(main())


def test_sends_that_nothing_answers_end_each_by_its_own_deadline_and_say_what_is_known_of_them() -> None:
    async def main() -> None:
        scene = Scene(cast("VirtualTimeLoop", asyncio.get_running_loop()))
        seconds = (0.7, 1.4, 0.3, 1.0, 1.25)
        ends: dict[float, tuple[float, Outcome | None]] = {}

        async def send(given_s: float) -> None:
            deadline = Deadline.after(given_s, scene.clock)
            try:
                await scene.log.append(TOPIC, ToPartition(0), [NewMessage(b"<<0>>")], deadline=deadline)
            except LogError as error:
                ends[given_s] = scene.loop.now_s - deadline.at_s, error.outcome

        with dialled(scene):
            running = asyncio.create_task(scene.log.run())
            await settled()
            senders = [asyncio.create_task(send(given_s)) for given_s in seconds]
            await pass_s(scene.loop, 1.5, step_s=0.01)
            await asyncio.gather(*senders)
            await scene.log.close()
            await running
        assert all(0 <= late_s < 0.011 for late_s, _ in ends.values())
        # Their lane has one client at a time: two of them came to it, and it was left behind with each.
        unknown, not_written = Outcome.UNKNOWN, Outcome.NOT_WRITTEN
        assert [ends[given_s][1] for given_s in seconds] == [unknown, unknown, *[not_written] * 3]

    run_in_virtual_time(main())
