import asyncio
from collections.abc import Sequence

import pytest

from bridge.clock import Deadline
from bridge.errors import (
    BridgeError,
    ConnectionFailed,
    ConnectionReset,
    InternalError,
    Outcome,
    PartitionNotFound,
)
from bridge.messagelog import (
    ByKey,
    Durability,
    NewMessage,
    NewRecords,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from bridge.web.sockets import publishing as ws_publishing
from bridge.web.sockets.publishing import InFlight, Publication, Publisher, TracedPublication
from tests.support.clock import FakeClock
from tests.support.turns import until

TOPIC = TopicRef("s", "t")
FIRST = ToPartition(0)
DEADLINE = Deadline.after(30, FakeClock())
PARTITIONS = 3


class Log:
    """Holds every append until it is told how it ends, and a look at the number of partitions while it is told to."""

    def __init__(self) -> None:
        self.held: list[tuple[bytes, Placement, asyncio.Future[None]]] = []
        self.looks: list[asyncio.Future[None]] = []
        self.holds_looks = False
        self.next_offset = 0

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:
        assert (topic, deadline) == (TOPIC, DEADLINE)
        if self.holds_looks:
            look = asyncio.get_running_loop().create_future()
            self.looks.append(look)
            await look
        return PARTITIONS

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        assert (topic, deadline) == (TOPIC, DEADLINE)
        end = asyncio.get_running_loop().create_future()
        (message,) = messages
        self.held.append((message.payload, placement, end))
        await end
        self.next_offset += 1
        return Receipt(0, self.next_offset - 1, 1, Durability.PERSISTED)

    async def end(self, payload: bytes, error: Exception | None = None) -> Placement:
        """The oldest append, which must hold *payload*, ends; where it was to go."""
        await until(lambda: self.held)
        found, placement, end = self.held.pop(0)
        assert found == payload
        if error is None:
            end.set_result(None)
        else:
            end.set_exception(error)
        return placement


class Publishing:
    def __init__(self, in_flight: InFlight | None = None) -> None:
        self.log = Log()
        self.answers: list[tuple[str, int | BridgeError | None]] = []
        self.in_flight = in_flight or InFlight()
        self.publisher = Publisher(self.log, self.log, self.in_flight, self._answered)  # type: ignore[arg-type]

    def _answered(self, publication: Publication, answer: Receipt | BridgeError) -> None:
        told = answer.offset if isinstance(answer, Receipt) else answer
        self.answers.append((publication.operation_id, told))

    def publish(self, *names: str, placement: Placement = FIRST) -> None:
        for name in names:
            messages = NewRecords.of((NewMessage(name.encode()),))
            self.publisher.publish(
                Publication(name, TOPIC, placement, messages, name, False, 0, DEADLINE, TracedPublication())
            )


async def test_every_publication_is_an_append_of_its_own_begun_in_their_order() -> None:
    p = Publishing()
    p.publish("a", "b", placement=ByKey(b"1"))
    p.publish("c")
    p.publish("d", placement=ByKey(b"1"))
    await until(lambda: len(p.log.held) == 4)
    of_key = ToPartition(partition_of_key(b"1", PARTITIONS))
    assert [await p.log.end(name) for name in (b"a", b"b", b"c", b"d")] == [of_key, of_key, FIRST, of_key]
    await p.publisher.finish()
    assert p.answers == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]
    assert len(p.publisher) == p.in_flight.count == 0


async def test_while_the_partition_of_a_key_is_looked_up_nothing_overtakes_its_message() -> None:
    p, other = Publishing(), Publishing()
    p.log.holds_looks = True
    p.publish("a", placement=ByKey(b"1"))
    await until(lambda: p.log.looks)
    p.log.holds_looks = False
    p.publish("b", placement=ByKey(b"1"))
    other.publish("c", placement=ByKey(b"1"))
    await other.log.end(b"c")
    await other.publisher.finish()
    assert not p.log.held
    p.log.looks[0].set_result(None)
    await p.log.end(b"a")
    await p.log.end(b"b")
    await p.publisher.finish()
    assert [name for name, _ in p.answers] == ["a", "b"]


async def test_where_the_partition_of_a_key_cannot_be_looked_up_the_append_says_why() -> None:
    p = Publishing()
    p.log.holds_looks = True
    p.publish("a", placement=ByKey(b"1"))
    await until(lambda: p.log.looks)
    p.log.looks[0].set_exception(ConnectionReset())
    refused = ConnectionFailed(outcome=Outcome.NOT_WRITTEN)
    assert await p.log.end(b"a", error=refused) == ByKey(b"1")
    await p.publisher.finish()
    assert p.answers == [("a", refused)]


async def test_where_the_partition_of_a_key_was_taken_away_another_is_found() -> None:
    p = Publishing()
    p.publish("a", placement=ByKey(b"1"))
    assert isinstance(await p.log.end(b"a", error=PartitionNotFound()), ToPartition)
    assert await p.log.end(b"a") == ByKey(b"1")
    await p.publisher.finish()
    assert p.answers == [("a", 0)]


async def test_a_partition_that_is_not_there_is_told_to_who_named_it() -> None:
    p = Publishing()
    p.publish("a", "b")
    await p.log.end(b"a", error=PartitionNotFound())
    await p.log.end(b"b")
    await p.publisher.finish()
    (_, told), b = p.answers
    assert isinstance(told, PartitionNotFound)
    assert b == ("b", 0)


async def test_what_nobody_expected_leaves_the_outcome_open() -> None:
    p = Publishing()
    p.publish("a")
    await p.log.end(b"a", error=ZeroDivisionError())
    await p.publisher.finish()
    ((_, told),) = p.answers
    assert isinstance(told, InternalError)
    assert told.outcome is Outcome.UNKNOWN


async def test_it_is_full_with_so_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_publishing, "WS_PUBLISHES_MAX", 2)
    p = Publishing()
    p.publish("a")
    assert not p.publisher.full
    p.publish("b")
    assert p.publisher.full
    await p.log.end(b"a")
    await p.log.end(b"b")
    await p.publisher.finish()
    assert not p.publisher.full


async def test_it_is_full_with_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_publishing, "WS_PUBLISH_BYTES_MAX", 10)
    p = Publishing()
    p.publish("123456789")
    assert not p.publisher.full
    p.publish("0")
    assert p.publisher.full
    await p.log.end(b"123456789")
    await p.log.end(b"0")
    await p.publisher.finish()
    assert not p.publisher.full


async def test_where_all_have_much_in_flight_each_is_full_with_its_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ws_publishing, "WS_PUBLISHES_OF_ALL_MAX", 2)
    busy = Publishing()
    other = Publishing(busy.in_flight)
    busy.publish("a", "b")
    assert not other.publisher.full
    other.publish("c")
    assert other.publisher.full
    await busy.log.end(b"a")
    await busy.log.end(b"b")
    await busy.publisher.finish()
    assert not other.publisher.full
    await other.log.end(b"c")
    await other.publisher.finish()
    assert busy.in_flight.count == 0


async def test_what_is_given_up_is_answered_once_and_in_doubt() -> None:
    p = Publishing()
    p.publish("a")
    await until(lambda: p.log.held)
    p.publish("b")
    p.publisher.abandon(ConnectionFailed(outcome=Outcome.UNKNOWN))
    await p.publisher.finish()
    assert [(name, type(told)) for name, told in p.answers] == [
        ("a", ConnectionFailed),
        ("b", ConnectionFailed),
    ]
    assert len(p.publisher) == 0
