"""What is open ends with the key or token that it was opened with."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from bridge.errors import Unauthorized
from bridge.flow.timers import Timer
from bridge.policy.access import ANONYMOUS, HOLDER_OF_API_KEY, Principal
from bridge.policy.key_ring import Key, KeyRing
from bridge.web.live.lifetimes import Lifetimes
from tests.support.clock import FakeClock
from tests.support.keys import MADE, OwnedKey, owned_key, ring_of


@dataclass
class Looks:
    """Timers that a test rings."""

    waiting: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, _delay_s: float, callback: Callable[[], None]) -> Timer:
        looks = self.waiting
        looks.append(callback)

        class Cancels:
            def cancel(self) -> None:
                looks.remove(callback)

        return Cancels()

    def look(self) -> None:
        """A second has passed."""
        ringing, self.waiting[:] = tuple(self.waiting), []
        for each in ringing:
            each()


class Open:
    """Lifetimes over a ring, and what was told to end."""

    def __init__(self, *keys: OwnedKey) -> None:
        self.clock = FakeClock()
        self.ring = ring_of(*keys)
        self.looks = Looks()
        self.lifetimes = Lifetimes(self.clock, self.ring, timers=self.looks)
        self.ended: list[str] = []

    def key(self, key: OwnedKey) -> Principal:
        found = self.ring.key(key.stored.id)
        assert found is not None
        return found.principal

    def replaced(self, *keys: OwnedKey) -> None:
        fresh = ring_of(*keys)
        found = [fresh.key(each) for each in fresh.ids]
        self.ring.replace(each for each in found if isinstance(each, Key))

    def bind(self, stack: ExitStack, principal: Principal, name: str) -> None:
        stack.enter_context(self.lifetimes.bound(principal, lambda: self.ended.append(name)))


KEY, OTHER = owned_key(1, "consume:a/*"), owned_key(2)


@pytest.mark.parametrize(
    "after",
    [
        (),
        (owned_key(1, "consume:a/*", revoked_at=MADE),),
        (owned_key(1, "consume:b/*"),),
        (owned_key(1, "consume:a/*", networks=["10.0.0.0/8"]),),
    ],
    ids=["taken out", "revoked", "other rights", "other networks"],
)
def test_what_a_key_opened_ends_once_when_it_holds_no_more(after: tuple[OwnedKey, ...]) -> None:
    opened = Open(KEY, OTHER)
    with ExitStack() as stack:
        for name in ("one", "two"):
            opened.bind(stack, opened.key(KEY), name)
        opened.bind(stack, opened.key(OTHER), "other")
        opened.looks.look()
        assert opened.ended == []
        opened.replaced(*after, OTHER)
        for _ in range(3):
            opened.looks.look()
        assert opened.ended == ["one", "two"]
    assert opened.looks.waiting == []


def test_a_key_that_is_given_an_end_holds_until_then() -> None:
    opened = Open(KEY)
    with ExitStack() as stack:
        opened.bind(stack, opened.key(KEY), "one")
        seconds = opened.clock.now_us() / 1_000_000 + 60
        ends = MADE.fromtimestamp(seconds, MADE.tzinfo)
        opened.replaced(owned_key(1, "consume:a/*", expires_at=ends))
        opened.clock.advance(59)
        opened.looks.look()
        assert opened.ended == []
        opened.clock.advance(2)
        opened.looks.look()
        assert opened.ended == ["one"]


def test_credentials_that_are_no_key_end_at_their_time() -> None:
    opened = Open()
    token = Principal(name="t", expires_at_s=opened.clock.now_us() / 1_000_000 + 10)
    with ExitStack() as stack:
        opened.bind(stack, token, "token")
        opened.looks.look()
        opened.clock.advance(11)
        opened.looks.look()
        assert opened.ended == ["token"]


def test_a_key_that_went_before_anything_was_opened_ends_at_the_next_look() -> None:
    opened = Open(KEY)
    gone = opened.key(KEY)
    opened.replaced()
    with ExitStack() as stack:
        opened.bind(stack, gone, "late")
        opened.looks.look()
        assert opened.ended == ["late"]


@pytest.mark.parametrize("principal", [ANONYMOUS, HOLDER_OF_API_KEY])
def test_who_is_always_let_in_is_not_looked_at(principal: Principal) -> None:
    opened = Open()
    with ExitStack() as stack:
        opened.bind(stack, principal, "one")
        assert opened.looks.waiting == []


async def test_a_request_that_waits_is_cut_off_and_says_why() -> None:
    opened = Open(KEY)
    waits = asyncio.Event()

    async def serve() -> None:
        with opened.lifetimes.of_request(opened.key(KEY)):
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await waits.wait()
    opened.replaced()
    opened.looks.look()
    with pytest.raises(Unauthorized):
        await task


async def test_a_request_that_another_cancels_is_cancelled() -> None:
    opened = Open(KEY)
    waits = asyncio.Event()

    async def serve() -> None:
        with opened.lifetimes.of_request(opened.key(KEY)):
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await waits.wait()
    opened.replaced()
    opened.looks.look()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_without_a_file_of_keys_only_time_ends_anything() -> None:
    clock, looks = FakeClock(), Looks()
    ended: list[str] = []
    lifetimes = Lifetimes(clock, None, timers=looks)
    with lifetimes.bound(Principal(name="k", key_id="gone", expires_at_s=None), lambda: ended.append("k")):
        looks.look()
        assert ended == []


def test_a_successor_is_the_key_itself_as_long_as_nothing_changes() -> None:
    ring = ring_of(KEY)
    key = ring.key(KEY.stored.id)
    assert isinstance(ring, KeyRing)
    assert key is not None
    assert ring.successor(key) is key
