import asyncio
from collections.abc import Sequence

import pytest

from bridge.clock import Deadline
from bridge.errors import (
    BadRequest,
    BridgeError,
    ConnectionFailed,
    DeadlineExceeded,
    InternalError,
    Outcome,
    TopicNotFound,
)
from bridge.messagelog import ByKey, Durability, NewMessage, Placement, Receipt, ToPartition, TopicRef
from bridge.web.sockets import publishing as ws_publishing
from bridge.web.sockets.publishing import Publication, Publisher
from tests.support.clock import FakeClock
from tests.support.turns import until

TOPIC = TopicRef("s", "t")
FIRST = ToPartition(0)


class Appender:
    """Holds every append until it is told how it ends; *tells* it where it stored."""

    def __init__(self, *, tells: bool = True) -> None:
        self.tells = tells
        self.held: list[tuple[list[bytes], Placement, Deadline, asyncio.Future[None]]] = []
        self.next_offset = 0

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        assert topic == TOPIC
        end = asyncio.get_running_loop().create_future()
        payloads = [message.payload for message in messages]
        self.held.append((payloads, placement, deadline, end))
        await end
        first, self.next_offset = self.next_offset, self.next_offset + len(messages)
        return Receipt(0, first if self.tells else None, len(messages), Durability.PERSISTED)

    async def end(self, *payloads: bytes, error: Exception | None = None) -> None:
        """The oldest append, which must hold *payloads*, ends."""
        await until(lambda: self.held)
        found, _, _, end = self.held.pop(0)
        assert found == list(payloads)
        if error is None:
            end.set_result(None)
        else:
            end.set_exception(error)


class Publishing:
    def __init__(self) -> None:
        self.appender = Appender()
        self.clock = FakeClock()
        self.answers: list[tuple[str, int | BridgeError | None]] = []
        self.publisher = Publisher(self.appender, self.clock, self._answered)

    def _answered(self, publication: Publication, answer: Receipt | BridgeError) -> None:
        told = answer.offset if isinstance(answer, Receipt) else answer
        self.answers.append((publication.operation_id, told))

    def publish(self, *names: str, placement: Placement = FIRST, seconds: float = 30) -> None:
        for name in names:
            deadline = Deadline.after(seconds, self.clock)
            message = NewMessage(name.encode())
            self.publisher.publish(Publication(name, TOPIC, placement, message, name, False, 0, deadline))


async def test_what_comes_while_an_append_is_in_flight_goes_with_the_next_in_order() -> None:
    p = Publishing()
    p.publish("a")
    await until(lambda: p.appender.held)
    p.publish("b", "c", "d")
    await p.appender.end(b"a")
    await p.appender.end(b"b", b"c", b"d")
    await p.publisher.finish()
    assert p.answers == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]
    assert len(p.publisher) == 0


async def test_keys_and_partitions_do_not_wait_for_each_other() -> None:
    p = Publishing()
    p.publish("a", placement=ByKey(b"1"))
    p.publish("b", placement=ByKey(b"2"))
    p.publish("c", placement=ToPartition(1))
    await until(lambda: len(p.appender.held) == 3)
    for name in (b"a", b"b", b"c"):
        await p.appender.end(name)
    await p.publisher.finish()
    assert [name for name, _ in p.answers] == ["a", "b", "c"]


async def test_an_offset_that_the_log_does_not_tell_is_not_told() -> None:
    p = Publishing()
    p.appender.tells = False
    p.publish("a")
    await p.appender.end(b"a")
    await p.publisher.finish()
    assert p.answers == [("a", None)]


async def test_when_the_log_fails_everyone_is_told_and_the_next_go_on() -> None:
    p = Publishing()
    p.publish("a", "b")
    await p.appender.end(b"a", b"b", error=ConnectionFailed(outcome=Outcome.UNKNOWN))
    p.publish("c")
    await p.appender.end(b"c")
    await p.publisher.finish()
    errors = [told for _, told in p.answers[:2]]
    assert [type(each) for each in errors] == [ConnectionFailed, ConnectionFailed]
    assert errors[0] is not errors[1]
    assert p.answers[2] == ("c", 0)


async def test_only_the_owner_of_a_refused_message_hears_of_it() -> None:
    p = Publishing()
    p.publish("a", "b", "c")
    await p.appender.end(b"a", b"b", b"c", error=BadRequest("One is too much."))
    await p.appender.end(b"a")
    await p.appender.end(b"b", error=BadRequest("This one."))
    await p.appender.end(b"c")
    await p.publisher.finish()
    (a, b, c) = (told for _, told in p.answers)
    assert (a, c) == (0, 1)
    assert isinstance(b, BadRequest)
    assert b.detail == "This one."


async def test_a_missing_topic_is_not_asked_for_message_by_message() -> None:
    p = Publishing()
    p.publish("a", "b")
    await p.appender.end(b"a", b"b", error=TopicNotFound())
    await p.publisher.finish()
    assert [type(told) for _, told in p.answers] == [TopicNotFound, TopicNotFound]


async def test_what_nobody_expected_leaves_the_outcome_open() -> None:
    p = Publishing()
    p.publish("a")
    await p.appender.end(b"a", error=ZeroDivisionError())
    await p.publisher.finish()
    ((_, told),) = p.answers
    assert isinstance(told, InternalError)
    assert told.outcome is Outcome.UNKNOWN


async def test_whose_time_is_up_before_its_turn_is_not_written() -> None:
    p = Publishing()
    p.publish("a")
    await until(lambda: p.appender.held)
    p.publish("b", seconds=5)
    p.publish("c", seconds=20)
    p.clock.advance(6)
    await p.appender.end(b"a")
    await p.appender.end(b"c")
    await p.publisher.finish()
    told = dict(p.answers)["b"]
    assert isinstance(told, DeadlineExceeded)
    assert told.outcome is Outcome.NOT_WRITTEN


async def test_messages_with_very_different_times_left_are_not_stored_together() -> None:
    p = Publishing()
    p.publish("a", seconds=5)
    p.publish("b", seconds=5.5)
    p.publish("c", seconds=9)
    await p.appender.end(b"a", b"b")
    await until(lambda: p.appender.held)
    assert p.appender.held[0][2].remaining_s() == pytest.approx(9)
    await p.appender.end(b"c")
    await p.publisher.finish()


async def test_it_is_full_with_so_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_publishing, "WS_PUBLISHES_MAX", 2)
    p = Publishing()
    p.publish("a")
    assert not p.publisher.full
    p.publish("b")
    assert p.publisher.full
    await p.appender.end(b"a", b"b")
    await p.publisher.finish()
    assert not p.publisher.full


async def test_it_is_full_with_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_publishing, "WS_PUBLISH_BYTES_MAX", 10)
    p = Publishing()
    p.publish("123456789")
    assert not p.publisher.full
    p.publish("0")
    assert p.publisher.full
    await p.appender.end(b"123456789", b"0")
    await p.publisher.finish()
    assert not p.publisher.full


async def test_what_is_given_up_is_answered_once_and_in_doubt() -> None:
    p = Publishing()
    p.publish("a")
    await until(lambda: p.appender.held)
    p.publish("b")
    p.publisher.abandon(ConnectionFailed(outcome=Outcome.UNKNOWN))
    await p.publisher.finish()
    assert [(name, type(told)) for name, told in p.answers] == [
        ("a", ConnectionFailed),
        ("b", ConnectionFailed),
    ]
    assert len(p.publisher) == 0
