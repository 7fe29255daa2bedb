"""The claim of NDJSON in (`tests/support/ndjson_claim.py`), on bodies that are the same in every run."""

import asyncio
import gzip
import random
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.clock import SystemClock
from bridge.messagelog import Balanced, TopicRef
from bridge.policy.body_kinds import Coding
from bridge.web.bodies import line_intake, ndjson
from bridge.web.bodies.bulk_writer import BulkWriter
from bridge.web.bodies.codings import inflater_of
from bridge.web.bodies.line_intake import LineIntake
from bridge.web.bodies.ndjson import LineSplitter
from bridge.web.wire.bulk import OnError
from tests.support.ndjson_claim import CODINGS, check, outcome_of

CORPUS: Final = Path(__file__).resolve().parents[3] / "fuzz" / "corpus" / "bulk_in"
PIECES: Final = (
    b"\n", b"\n", b"\r\n", b" ", b"\t", b"1", b"-0.5e3", b'"a"', b"[1", b",2]", b"{}", b'{"k":"v"}', b"x", b"\xff",
    "\u00e9".encode(), b"1e400", b"1e308", b"9" * 30, b"\x00", b'"' + b"a" * 70 + b'"', b"[" * 40, b"]" * 40,
    b"\xef\xbb\xbf", b'"\\ud800"', b"NaN", b"null", b'{"k":1,"k":2}',
)  # fmt: skip


def bodies() -> list[bytes]:
    rng = random.Random(20_261_121)
    return [
        bytes([rng.randrange(256), rng.randrange(256)])
        + rng.randbytes(8)
        + b"".join(rng.choices(PIECES, k=rng.randrange(40)))
        for _ in range(400)
    ]


@pytest.mark.parametrize("part", range(4))
def test_of_any_body_the_good_lines_are_stored_and_the_others_told(part: int) -> None:
    for body in bodies()[part::4]:
        check(body)


@pytest.mark.parametrize("seed", sorted(path.name for path in CORPUS.iterdir()))
def test_the_claim_holds_for_every_seed_of_the_fuzzer(seed: str) -> None:
    data = (CORPUS / seed).read_bytes()
    for choice in range(2 * len(CODINGS)):
        check(bytes([choice]) + data[1:])
        check(bytes([0x80 | choice]) + data[1:])


async def test_the_body_itself_is_what_is_stored() -> None:
    outcome = await outcome_of(
        [b'{"a":1}\n[', b"2]\nx\n 3 \n"], coding=Coding.IDENTITY, on_error=OnError.SKIP
    )
    assert (outcome.stored, outcome.failed, outcome.faulty_lines) == ([b'{"a":1}', b"[2]", b"3"], 1, [3])


def _all_hold() -> bool:
    try:
        for body in bodies():
            check(body)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    "place, name, broken",
    [
        (ndjson, "_BLANKS", b" \t"),
        (line_intake, "bisect_left", lambda numbers, _: len(numbers)),
        (LineSplitter, "end", lambda _: []),
    ],
)
def test_the_claim_notices_what_is_broken(
    place: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, broken)
    assert not _all_hold()


@pytest.mark.parametrize("packed", [gzip.compress(b"\n" * 1024 * 1024), gzip.compress(b"") * 6_400])
async def test_a_chunk_that_becomes_much_or_nothing_gives_others_their_turn(packed: bytes) -> None:
    nowhere: Any = None
    writer = BulkWriter(
        nowhere, TopicRef("s", "t"), Balanced(), headers={}, clock=SystemClock(), batch_timeout_s=30.0
    )
    intake = LineIntake(writer, inflater_of(Coding.GZIP), on_error=OnError.STOP)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    await intake.take(packed)
    running.cancel()
    await writer.abandon()
    assert turns >= 15
