"""
The claim of NDJSON in, for any body, however it is cut and packed (pure but for the loop it runs on).

What is stored are the values of the good lines, in order; with `stop` those before the first faulty line, which is named;
with `skip` all of them, and each faulty line is counted. Bytes that are no body of their coding end in a refusal. Nothing
of the body is shown in any word of ours.
"""

import asyncio
import gzip
import json
import math
import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from bridge.clock import Deadline, SystemClock
from bridge.errors import BridgeError, SerializationError
from bridge.events import check_json, is_well_formed
from bridge.limits import JSON_DEPTH_MAX
from bridge.messagelog import Balanced, Durability, NewMessage, Placement, Receipt, TopicRef
from bridge.policy.body_kinds import Coding
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.codings import inflater_of
from bridge.web.bodies.line_intake import LineIntake
from bridge.web.wire.bulk import OnError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ("Outcome", "check", "outcome_of")

#: Small, so that small bodies reach them.
LINE_BYTES_MAX: Final = 64
BATCH_MESSAGES: Final = 3
#: Longer than what a body and a reason share by chance.
SHOWN_BYTES_MIN: Final = 24
#: Of the first byte of an input.
STOP_BIT: Final = 1
CODINGS: Final = (Coding.IDENTITY, Coding.GZIP, Coding.ZSTD)


class Outcome(NamedTuple):
    """What became of a body; *refusal* is None where it was taken to its end."""

    stored: list[bytes]
    failed: int
    faulty_lines: list[int]
    refusal: BridgeError | None
    words: list[str]


class _Appender:
    """Takes everything."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        del topic, placement, deadline
        offset = sum(map(len, self.batches))
        self.batches.append([message.payload for message in messages])
        # A turn of others, as a real one has.
        await asyncio.sleep(0)
        return Receipt(0, offset, len(messages), Durability.PERSISTED)


async def outcome_of(chunks: Sequence[bytes], *, coding: Coding, on_error: OnError) -> Outcome:
    """The outcome of a body that comes in these *chunks*."""
    appender = _Appender()
    writer = BulkWriter(
        appender, TopicRef("s", "t"), Balanced(), headers={}, clock=SystemClock(), batch_timeout_s=30.0
    )
    intake = LineIntake(writer, inflater_of(coding), on_error=on_error, line_bytes_max=LINE_BYTES_MAX)
    refusal: BridgeError | None = None
    try:
        try:
            for chunk in chunks:
                await intake.take(chunk)
            await intake.end()
        except BridgeError as error:
            refusal = error
        await writer.close()
    finally:
        await writer.abandon()
    stored = [payload for batch in appender.batches for payload in batch]
    if writer.stored != len(stored):
        raise AssertionError("what is told as stored is not what was written")
    words = [fault.reason for fault in intake.faults] + ([refusal.detail] if refusal is not None else [])
    return Outcome(stored, intake.failed, [fault.line for fault in intake.faults], refusal, words)


def _no_constant(_: str) -> float:
    raise AssertionError("no JSON, yet stored")


def _levels(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise AssertionError("a number beyond a double was stored")
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            children = item.values() if isinstance(item, dict) else item
            waiting += [(child, level + 1) for child in children]
    return deepest


def _read(body: bytes) -> tuple[list[tuple[int, bytes]], list[int]]:
    """Numbered values and the numbers of faulty lines, each line by itself and by the rules as they are written."""
    good, faulty = [], []
    for number, line in enumerate(body.split(b"\n"), start=1):
        value = line.strip(b" \t\r")
        if len(line.removesuffix(b"\r")) > LINE_BYTES_MAX:
            faulty.append(number)
        elif value:
            try:
                check_json(value)
                is_good = is_well_formed(value)
            except SerializationError:
                is_good = False
            if is_good:
                good.append((number, value))
                if _levels(json.loads(value, parse_constant=_no_constant)) > JSON_DEPTH_MAX:
                    raise AssertionError("too deep, yet a message")
            else:
                faulty.append(number)
    return good, faulty


def _check_whole(body: bytes, outcome: Outcome, on_error: OnError) -> None:
    good, faulty = _read(body)
    if faulty and on_error is OnError.STOP:
        first = faulty[0]
        expected = [value for number, value in good if number < first]
        told = getattr(outcome.refusal, "path", None)
        if told != f"line {first}" or outcome.failed != 1 or outcome.faulty_lines != [first]:
            raise AssertionError("another line is blamed than the first faulty one")
    else:
        expected = [value for _, value in good]
        if outcome.refusal is not None:
            raise AssertionError("a body was refused that holds nothing to refuse")
        if (outcome.failed, outcome.faulty_lines) != (len(faulty), faulty[: len(outcome.faulty_lines)]):
            raise AssertionError("the faulty lines are others")
    if outcome.stored != expected:
        raise AssertionError("other messages were stored than the good lines")


def _cut(data: bytes, sizes: bytes) -> list[bytes]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(data[start : start + size])
        start += size
    return [chunk for chunk in (*chunks, data[start:]) if chunk]


def check(data: bytes) -> None:
    """
    Raise AssertionError where the claim does not hold for *data*.

    Args:
        data: a byte of choices, the number of cuts and their distances, and the body; or, where the choice is so, bytes
            that say of themselves to be compressed.
    """
    if len(data) < 2:
        return
    choice, cuts = data[0], data[1] % 8
    on_error = OnError.STOP if choice & STOP_BIT else OnError.SKIP
    coding = CODINGS[(choice >> 1) % len(CODINGS)]
    pretended = bool(choice & 0x80) and coding is not Coding.IDENTITY
    sizes, body = data[2 : 2 + cuts], data[2 + cuts :]
    packed = body
    if coding is Coding.GZIP and not pretended:
        packed = gzip.compress(body, 1, mtime=0)
    elif coding is Coding.ZSTD and not pretended:
        packed = zstd.compress(body)
    with patch.multiple(
        "bridge.web.bodies.bulk_writer",
        NDJSON_BATCH_MESSAGES=BATCH_MESSAGES,
        NDJSON_BATCH_MESSAGES_MAX=2 * BATCH_MESSAGES,
    ):
        outcome = asyncio.run(outcome_of(_cut(packed, sizes), coding=coding, on_error=on_error))
    if not pretended:
        _check_whole(body, outcome, on_error)
    shown = body.decode(errors="replace")
    if any(len(words) >= SHOWN_BYTES_MIN and words in shown for words in outcome.words):
        raise AssertionError("a reason is a part of the body")
    for line in shown.split("\n"):
        if len(line) >= SHOWN_BYTES_MIN and any(line in words for words in outcome.words):
            raise AssertionError("a reason shows the body")
