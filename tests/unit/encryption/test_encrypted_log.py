"""An appender that encrypts and a log that decrypts, around the embedded log."""

import os
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.encryption import DataKeys, DecryptingReader, EncryptingAppender, Payloads, parse_keys
from bridge.encryption.log import DEAD_LETTER_TOPIC
from bridge.encryption.payloads import ENCRYPTION, Unopened
from bridge.limits import DATA_KEYS_MAX
from bridge.locallog import LocalMessageLog
from bridge.messagelog import First, Message, MessageLog, NewMessage, ToPartition, TopicRef
from tests.support.local_logs import FAST, open_log, soon

COVERED, CLEAR = TopicRef("stream", "covered"), TopicRef("stream", "clear")


def _keys(key_id: str) -> DataKeys:
    return DataKeys(parse_keys(f"{key_id}:{b64encode(key_id[:1].encode() * 32).decode()}"), os.urandom)


class Scene:
    """One log, written and read through one key."""

    def __init__(self, bare: LocalMessageLog) -> None:
        self.bare: MessageLog = bare
        self.unopened: Counter[Unopened] = Counter()
        payloads = Payloads(_keys("a"))
        self.appender = EncryptingAppender(bare, payloads, lambda topic: topic == COVERED)
        self.log = self.reading("a")

    def reading(self, key_id: str) -> DecryptingReader:
        return DecryptingReader(self.bare, Payloads(_keys(key_id)), self._count)

    def _count(self, reason: Unopened, number: int) -> None:
        self.unopened[reason] += number

    async def append(self, topic: TopicRef, *messages: NewMessage) -> None:
        await self.appender.append(topic, ToPartition(0), messages, deadline=soon())


async def _read(log: MessageLog | DecryptingReader, topic: TopicRef) -> list[Message]:
    return list((await log.read(topic, 0, First(), count=100, deadline=soon())).messages)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    bare = await open_log(tmp_path, tuning=FAST)
    await bare.create_stream("stream", deadline=soon())
    for topic in (COVERED, CLEAR):
        await bare.create_topic(topic, partitions_count=1, deadline=soon())
    yield Scene(bare)
    await bare.close()


async def test_a_covered_topic_holds_ciphertext_and_gives_what_was_sent(scene: Scene) -> None:
    await scene.append(COVERED, NewMessage(b"secret", 5, {"k": "v"}))
    (stored,), (given,) = await _read(scene.bare, COVERED), await _read(scene.log, COVERED)
    assert b"secret" not in stored.payload
    assert (given.id, given.payload, given.headers) == (5, b"secret", {"k": "v"})


async def test_other_topics_are_as_without_encryption(scene: Scene) -> None:
    await scene.append(CLEAR, NewMessage(b"open", 5, {"k": "v"}), NewMessage(b"open too", 6))
    assert await _read(scene.bare, CLEAR) == await _read(scene.log, CLEAR)
    assert [each.payload for each in await _read(scene.log, CLEAR)] == [b"open", b"open too"]


async def test_a_dead_letter_of_a_covered_topic_is_encrypted_where_it_goes(scene: Scene) -> None:
    await scene.append(CLEAR, NewMessage(b"secret", 5, {DEAD_LETTER_TOPIC: "covered"}))
    await scene.append(CLEAR, NewMessage(b"open", 6, {DEAD_LETTER_TOPIC: "clear"}))
    await scene.append(CLEAR, NewMessage(b"open", 7, {DEAD_LETTER_TOPIC: 7}))
    stored = await _read(scene.bare, CLEAR)
    assert [ENCRYPTION in each.headers for each in stored] == [True, False, False]
    assert [each.payload for each in await _read(scene.log, CLEAR)] == [b"secret", b"open", b"open"]


async def test_a_dead_letter_of_a_covered_topic_is_encrypted_among_whatever_goes_with_it(
    scene: Scene,
) -> None:
    letters = [NewMessage(b"open"), NewMessage(b"secret", 5, {DEAD_LETTER_TOPIC: "covered"})]
    await scene.append(CLEAR, *letters, NewMessage(b"open", 6, {DEAD_LETTER_TOPIC: "clear"}))
    assert b"secret" not in [each.payload for each in await _read(scene.bare, CLEAR)]
    assert [each.payload for each in await _read(scene.log, CLEAR)] == [b"open", b"secret", b"open"]


async def test_each_topic_and_reason_is_told_once(scene: Scene) -> None:
    log = scene.reading("b")
    with capture_logs() as lines:
        for topic in (COVERED, CLEAR, COVERED, CLEAR):
            log.tell(topic, 0, {0: Unopened.DAMAGED, 1: Unopened.UNKNOWN_KEY})
    told = [(line["topic"], line["reason"]) for line in lines]
    assert len(told) == len(set(told)) == 4


async def test_what_cannot_be_opened_is_given_counted_and_told_once(scene: Scene) -> None:
    await scene.append(COVERED, NewMessage(b"one"), NewMessage(b"two"))
    log = scene.reading("b")
    with capture_logs() as lines:
        for _ in range(3):
            assert len(await _read(log, COVERED)) == 2
    assert scene.unopened == {Unopened.UNKNOWN_KEY: 6}
    assert [(line["event"], line["reason"]) for line in lines] == [("payloads_not_decrypted", "unknown_key")]


async def test_what_was_told_is_forgotten_rather_than_kept_without_bound(scene: Scene) -> None:
    log = scene.reading("b")
    await scene.append(COVERED, NewMessage(b"one"))
    with capture_logs() as lines:
        for number in range(DATA_KEYS_MAX):
            log.tell(TopicRef("s", f"t{number}"), 0, {0: Unopened.DAMAGED})
        await _read(log, COVERED)
        await _read(log, COVERED)
        log.tell(TopicRef("s", "t0"), 0, {0: Unopened.DAMAGED})
    assert len(lines) == DATA_KEYS_MAX + 2
