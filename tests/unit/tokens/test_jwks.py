"""The keys of a provider, over HTTP on loopback."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from bridge.errors import SigningKeysUnavailable
from bridge.limits import JWKS_ASKED_INTERVAL_S, JWKS_BYTES_MAX, JWKS_INTERVAL_S, JWKS_STALE_S_MAX
from bridge.tokens import JwksSource, SigningKeys
from tests.support.clock import FakeClock
from tests.support.provider import Provider, SigningKey

KEY, OTHER = SigningKey("a"), SigningKey("b")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(KEY) as serving:
        yield serving


class Scene:
    """A source, its time, and the sets that it gave."""

    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.sets: list[SigningKeys] = []
        self.source = JwksSource(url, ("ES256",), self.sets.append, self.clock)

    async def fails(self) -> None:
        with pytest.raises(SigningKeysUnavailable):
            await self.source.step()


@pytest.fixture
def scene(provider: Provider) -> Scene:
    return Scene(provider.url)


async def test_the_keys_come_from_the_provider_and_again_when_asked(scene: Scene, provider: Provider) -> None:
    assert scene.source.age_s == float("inf")
    await scene.source.step()
    assert scene.source.age_s == 0
    assert scene.sets[-1].find("a", "ES256") is not None
    provider.publish(OTHER)
    await scene.source.step()
    assert scene.sets[-1].find("a", "ES256") is None
    assert scene.sets[-1].find("b", "ES256") is not None


async def test_a_look_fetches_keys_that_are_not_there_or_old_and_no_others(
    scene: Scene, provider: Provider
) -> None:
    await scene.source.look()
    scene.clock.advance(JWKS_INTERVAL_S - 1)
    await scene.source.look()
    assert provider.asked == 1
    scene.clock.advance(1)
    await scene.source.look()
    assert provider.asked == 2


async def test_a_set_as_long_as_it_may_be_is_taken(scene: Scene, provider: Provider) -> None:
    provider.body = provider.body.ljust(JWKS_BYTES_MAX)
    await scene.source.step()
    assert len(scene.sets[-1]) == 1


async def test_who_asks_while_they_are_fetched_waits_for_the_same_answer(
    scene: Scene, provider: Provider
) -> None:
    provider.open.clear()
    waiting = [asyncio.create_task(scene.source.step()) for _ in range(20)]
    await asyncio.sleep(0)
    assert scene.source.may_ask()
    waiting[0].cancel()
    provider.open.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [asyncio.CancelledError] + [type(None)] * 19
    assert provider.asked == 1


async def test_an_unknown_key_is_a_reason_to_ask_once_in_a_while(scene: Scene) -> None:
    assert scene.source.may_ask()
    await scene.source.step()
    assert not scene.source.may_ask()
    scene.clock.advance(JWKS_ASKED_INTERVAL_S)
    assert scene.source.may_ask()


@pytest.mark.parametrize(
    "status,body",
    [(500, b""), (404, b"{}"), (200, b"<html>"), (200, b'{"keys":[]}'), (200, b" " * (JWKS_BYTES_MAX + 1))],
)
async def test_an_answer_that_has_no_keys_leaves_those_of_before(
    scene: Scene, provider: Provider, status: int, body: bytes
) -> None:
    await scene.source.step()
    provider.status, provider.body = status, body
    with capture_logs() as lines:
        await scene.fails()
    assert len(scene.sets) == 1
    assert [line["event"] for line in lines] == ["signing_keys_not_fetched"]
    assert "127.0.0.1" not in str(lines)


async def test_no_redirect_is_followed(scene: Scene, provider: Provider) -> None:
    with Provider(OTHER) as elsewhere:
        provider.status, provider.location = 302, elsewhere.url
        await scene.fails()
        assert elsewhere.asked == 0


async def test_keys_of_a_provider_that_is_away_too_long_are_no_good_any_more(
    scene: Scene, provider: Provider
) -> None:
    await scene.source.step()
    provider.status = 503
    scene.clock.advance(JWKS_STALE_S_MAX)
    await scene.fails()
    assert len(scene.sets) == 1
    scene.clock.advance(1)
    await scene.fails()
    assert len(scene.sets[-1]) == 0
    assert scene.source.age_s == float("inf")
    await scene.fails()
    assert len(scene.sets) == 2
    provider.status = 200
    await scene.source.step()
    assert len(scene.sets[-1]) == 1


async def test_a_provider_that_is_not_there_is_no_fault_of_the_bridge(scene: Scene) -> None:
    with Provider(KEY) as gone:
        url = gone.url
    away = Scene(url)
    with capture_logs() as lines:
        await away.fails()
    assert not away.sets
    assert "127.0.0.1" not in str(lines)


async def test_a_fetch_that_is_cancelled_with_the_bridge_leaves_nothing_behind(
    scene: Scene, provider: Provider
) -> None:
    provider.open.clear()
    waiting = asyncio.create_task(scene.source.step())
    await asyncio.sleep(0)
    (fetch,) = (task for task in asyncio.all_tasks() if task.get_name() == "jwks")
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "jwks"]
