"""Whoever comes to a fan-out and leaves it, whenever: each has every byte once, from where it came to where it is said to stand."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError, TopicNotFound
from bridge.flow.following.batches import Positions, RecordBatch
from bridge.flow.following.fan_out import FanOut, Sink
from bridge.messagelog import NO_RECORDS


class Feed:
    """A feed that gives batches 1, 2, ...; every fourth is nothing once it is encoded."""

    def __init__(self) -> None:
        self.sequence = 0
        self.positions: Positions = ((0, 0),)
        self.error: BridgeError | None = None
        self.kept_from = 1
        self.run_batches = 2
        self.empty: list[object] = []

    def add(self) -> None:
        self.sequence += 1
        self.positions = ((0, self.sequence),)

    def has_lost(self, sequence: int) -> bool:
        return sequence < self.sequence and sequence + 1 < self.kept_from

    def batches_after(self, sequence: int) -> list[RecordBatch]:
        last = min(self.sequence, sequence + self.run_batches)
        return [
            RecordBatch(0, NO_RECORDS, ((0, each - 1),), ((0, each),), sequence=each)
            for each in range(sequence + 1, last + 1)
        ]

    def fan_out_is_empty(self, form: object) -> None:
        self.empty.append(form)


def _made(batch: RecordBatch) -> bytes:
    return b"" if batch.sequence % 4 == 0 else b"%d." % batch.sequence


def _all(begin: int, end: int) -> bytes:
    return b"".join(b"%d." % each for each in range(begin + 1, end + 1) if each % 4)


def _fan_out(feed: Feed, make: Callable[[RecordBatch], bytes] = _made) -> FanOut[bytes]:
    return FanOut(feed, Sink("form", lambda batches: b"".join(map(make, batches)), bool, _drained))


async def _drained() -> None:
    raise AssertionError("a fan-out waits for nobody")


class Member:
    def __init__(self, fan_out: FanOut[bytes], feed: Feed) -> None:
        self.fan_out = fan_out
        self.begin = feed.sequence
        self.end: int | None = None
        self.error: BaseException | None = None
        self.got = b""
        self.full = False
        self.fault: Exception | None = None
        fan_out.join(self, self.write)

    def write(self, data: bytes) -> bool:
        assert self.end is None, "written to after it was put out"
        if self.fault is not None:
            raise self.fault
        self.got += data
        return not self.full

    def dropped(self, sequence: int, positions: Positions, error: BaseException | None) -> None:
        self.end, self.error = sequence, error
        assert positions == ((0, sequence),)

    def leave(self) -> None:
        self.end, positions = self.fan_out.leave(self)
        assert positions == ((0, self.end),)

    def check(self) -> None:
        end = self.fan_out.position_of(self)[0] if self.end is None else self.end
        assert self.got == _all(self.begin, end)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "serve", "serve", "turn", "join", "join", "leave", "full", "lose"]),
        st.integers(0, 99),
    ),
    max_size=60,
)


class World:
    """A fan_out over a feed, and whoever came to it."""

    def __init__(self, run_batches: int) -> None:
        self.feed = Feed()
        self.feed.run_batches = run_batches
        self.members: list[Member] = []
        self.fan_out = _fan_out(self.feed, _made)

    async def happens(self, step: str, number: int) -> None:
        there = [member for member in self.members if member.end is None]
        match step:
            case "add":
                self.feed.add()
            case "serve":
                self.fan_out.serve()
            case "turn":
                await asyncio.sleep(0)
            case "join":
                self.members.append(Member(self.fan_out, self.feed))
            case "lose":
                self.feed.kept_from = self.feed.sequence
            case "leave" if there:
                there[number % len(there)].leave()
            case "full" if there:
                there[number % len(there)].full = True
        self.check()

    def check(self) -> None:
        for member in self.members:
            member.check()
        assert len(self.fan_out._members) == sum(member.end is None for member in self.members)


@settings(deadline=None, max_examples=300)
@given(steps=STEPS, run_batches=st.integers(1, 5), per_turn=st.integers(1, 3))
def test_each_member_has_everything_once_and_stands_where_it_is_said_to(
    steps: list[tuple[str, int]], run_batches: int, per_turn: int
) -> None:
    async def happens() -> None:
        world = World(run_batches)
        for step, number in steps:
            await world.happens(step, number)
        world.fan_out.serve()
        for _ in range(len(steps) * len(steps)):
            await asyncio.sleep(0)
        world.check()
        # Whoever is still there has everything.
        assert all(
            member.end is not None or world.fan_out.position_of(member)[0] == world.feed.sequence
            for member in world.members
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.flow.following.fan_out.FEED_DELIVERIES_PER_TURN", per_turn)
        asyncio.run(happens())


async def test_members_are_served_some_in_each_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.flow.following.fan_out.FEED_DELIVERIES_PER_TURN", 2)
    feed = Feed()
    fan_out = _fan_out(feed, _made)
    members = [Member(fan_out, feed) for _ in range(5)]
    feed.add()
    fan_out.serve()
    served = []
    for _ in range(3):
        served.append(sum(bool(member.got) for member in members))
        await asyncio.sleep(0)
    assert served == [2, 4, 5]


async def test_a_run_is_made_into_bytes_once_for_all() -> None:
    made: list[int] = []

    def make(batch: RecordBatch) -> bytes:
        made.append(batch.sequence)
        return _made(batch)

    feed = Feed()
    fan_out = _fan_out(feed, make)
    members = [Member(fan_out, feed) for _ in range(5)]
    feed.add()
    fan_out.serve()
    assert made == [1]
    assert {member.got for member in members} == {b"1."}


@pytest.mark.parametrize("fault", [ConnectionResetError("gone"), None])
async def test_one_that_fails_or_is_full_is_put_out_and_the_others_are_served(
    fault: Exception | None,
) -> None:
    feed = Feed()
    fan_out = _fan_out(feed, _made)
    bad, good = Member(fan_out, feed), Member(fan_out, feed)
    bad.fault, bad.full = fault, True
    feed.add()
    fan_out.serve()
    assert (bad.end, bad.error, good.got, len(fan_out._members)) == (1, fault, b"1.", 1)


@pytest.mark.parametrize("why", ["gone", "lost", "not made"])
async def test_all_are_put_out_where_they_stand_when_the_feed_has_no_more_for_them(why: str) -> None:
    fault = ValueError("not made")

    def make(batch: RecordBatch) -> bytes:
        if batch.sequence == 2:
            raise fault
        return _made(batch)

    feed = Feed()
    feed.run_batches = 1
    fan_out = _fan_out(feed, make if why == "not made" else _made)
    members = [Member(fan_out, feed) for _ in range(3)]
    feed.add()
    fan_out.serve()
    act: dict[str, Callable[[], None]] = {"gone": lambda: None, "lost": feed.add, "not made": feed.add}
    act[why]()
    if why == "gone":
        feed.error = TopicNotFound()
    if why == "lost":
        feed.add()
        feed.kept_from = 3
    fan_out.serve()
    assert [(member.end, member.error) for member in members] == [
        (1, fault if why == "not made" else None)
    ] * 3
    assert feed.empty == ["form"]
