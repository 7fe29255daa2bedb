"""The key that tokens are signed with: the same for every process, whatever became of those before."""

import asyncio

import pytest

from bridge.errors import BadRequest
from bridge.groups.ledger_topics import KEYS
from bridge.groups.records import AckKind
from bridge.messagelog import First, NewMessage, ToPartition, TopicRef
from tests.support.group_scene import LEDGER, Scene
from tests.support.groups import GROUP
from tests.support.local_logs import TOPIC

PLACE = TopicRef(LEDGER.stream, KEYS)


async def test_a_token_is_good_at_a_process_that_starts_after_the_one_that_gave_it(scene: Scene) -> None:
    one = await scene.start()
    await scene.send(b"a")
    given = await one.receive(TOPIC, visibility_ms=600_000)
    await one.close()
    assert await (await scene.start()).ack(TOPIC, *given) == ["done"]


async def test_processes_that_start_at_once_agree_on_one_key(scene: Scene) -> None:
    await scene.send(b"a", b"b", b"c")
    replicas = [await scene.start() for _ in range(3)]
    given = await asyncio.gather(*(each.receive(TOPIC, 1, wait_s=10) for each in replicas))
    for at, deliveries in enumerate(given):
        assert await replicas[at - 1].ack(TOPIC, *deliveries) == ["done"]


async def test_tokens_stay_good_where_somebody_deletes_the_stream_of_the_ledger(scene: Scene) -> None:
    replica = await scene.start()
    await scene.send(b"a")
    given = await replica.receive(TOPIC, visibility_ms=600_000)
    before = (await scene.log.read(PLACE, 0, First(), count=10, deadline=scene.soon())).messages[0].payload
    await scene.log.delete_stream(LEDGER.stream, deadline=scene.soon())
    # The lease went with the ledger, the token is one all the same.
    assert await replica.ack(TOPIC, *given) == ["expired"]
    after = await scene.log.read(PLACE, 0, First(), count=10, deadline=scene.soon())
    assert [each.payload for each in after.messages] == [before]


async def test_what_is_no_key_in_its_topic_is_passed_over(scene: Scene) -> None:
    one = await scene.start()
    await scene.send(b"a")
    await one.receive(TOPIC, group="another")
    await scene.log.purge_topic(PLACE, deadline=scene.soon())
    strangers = [NewMessage(b"hello"), NewMessage(b"BGK1short")]
    await scene.log.append(PLACE, ToPartition(0), strangers, deadline=scene.soon())
    two = await scene.start()
    given = await two.receive(TOPIC, visibility_ms=600_000)
    await two.close()
    assert await (await scene.start()).ack(TOPIC, *given) == ["done"]


async def test_tokens_of_strangers_make_no_ledger(scene: Scene) -> None:
    replica = await scene.start()
    with pytest.raises(BadRequest, match="no token"):
        await replica.groups.acknowledge(TOPIC, GROUP, AckKind.ACK, ["00"], deadline=scene.soon())
    assert [each.name for each in await scene.log.streams(deadline=scene.soon())] == [TOPIC.stream]
