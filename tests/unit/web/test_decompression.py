import gzip
import random
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest, PayloadTooLarge
from bridge.limits import (
    INFLATE_MEMBERS_PER_TURN,
    INFLATE_PIECE_BYTES,
    INFLATE_RATIO_FREE_BYTES,
    INFLATE_RATIO_MAX,
    INFLATE_STEP_BYTES_MIN,
)
from bridge.policy.body_kinds import BodyKind, Coding, body_kind, coding_of
from bridge.web.bodies import codings
from bridge.web.bodies.codings import inflater_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESS: dict[Coding, Callable[[bytes], bytes]] = {
    Coding.GZIP: gzip.compress,
    Coding.ZSTD: zstd.compress,
    Coding.IDENTITY: bytes,
}
_CODINGS = pytest.mark.parametrize("coding", [Coding.GZIP, Coding.ZSTD])


def inflated(coding: Coding, chunks: list[bytes]) -> bytes:
    inflater = inflater_of(coding)
    body = bytearray()
    for chunk in chunks:
        for piece in inflater.feed(chunk):
            assert len(piece) <= max(INFLATE_PIECE_BYTES, len(chunk))
            body += piece
    inflater.end()
    return bytes(body)


@given(
    st.sampled_from([Coding.GZIP, Coding.ZSTD]),
    st.lists(st.binary(max_size=300), min_size=1, max_size=3),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_however_it_is_cut_and_in_however_many_members_it_comes_out_whole(
    coding: Coding, members: list[bytes], cuts: list[int]
) -> None:
    body = b"".join(map(_COMPRESS[coding], members))
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    assert inflated(coding, chunks) == b"".join(members)


@_CODINGS
def test_a_large_body_comes_out_in_small_pieces(coding: Coding) -> None:
    body = bytes(range(256)) * 4096
    assert inflated(coding, [_COMPRESS[coding](body)]) == body


class _Counted:
    """A decoder of the library that adds up what it is given, and what it copies of it."""

    moved_bytes = 0

    def __init__(self, real: Any) -> None:
        self._real = real

    def decompress(self, data: bytes, max_length: int) -> Any:
        type(self).moved_bytes += len(data)
        return self._real.decompress(data, max_length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _moved_bytes(coding: Coding, body: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    class Counted(_Counted):
        pass

    real_gzip, real_zstd = zlib.decompressobj, zstd.ZstdDecompressor
    fake = SimpleNamespace(decompressobj=lambda wbits: Counted(real_gzip(wbits)), error=zlib.error)
    monkeypatch.setattr(codings, "zlib", fake)
    monkeypatch.setattr(zstd, "ZstdDecompressor", lambda **options: Counted(real_zstd(**options)))
    try:
        inflated(coding, [body])
    finally:
        monkeypatch.undo()
    return Counted.moved_bytes


@_CODINGS
def test_the_work_of_a_body_of_many_members_grows_with_its_length_and_not_with_its_square(
    coding: Coding, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, small = _COMPRESS[coding](b""), _COMPRESS[coding](b"some text")
    for member in (empty, small):
        for count in (1_000, 4_000):
            moved = _moved_bytes(coding, member * count, monkeypatch)
            assert moved <= (len(member) + INFLATE_STEP_BYTES_MIN) * count
    large = _COMPRESS[coding](random.Random(1).randbytes(500_000))
    assert _moved_bytes(coding, (large + empty) * 4, monkeypatch) < 4 * 4 * len(large)


@_CODINGS
def test_members_that_give_nothing_give_others_their_turn(coding: Coding) -> None:
    body = _COMPRESS[coding](b"") * 6_400
    assert sum(1 for _ in inflater_of(coding).feed(body)) >= 6_400 // INFLATE_MEMBERS_PER_TURN - 1


@_CODINGS
@pytest.mark.parametrize("mebibytes", [8, 200])
def test_b35_b36_a_bomb_is_refused_before_it_is_let_off(coding: Coding, mebibytes: int) -> None:
    bomb = _COMPRESS[coding](bytes(mebibytes * 1024 * 1024))
    out: list[int] = []
    with pytest.raises(PayloadTooLarge) as fault:
        out.extend(map(len, inflater_of(coding).feed(bomb)))
    assert fault.value.limit == INFLATE_RATIO_MAX
    assert sum(out) <= max(INFLATE_RATIO_FREE_BYTES, len(bomb) * INFLATE_RATIO_MAX)


@_CODINGS
@pytest.mark.parametrize("damage", ["cut", "nothing", "other", "tail"])
def test_b37_b38_what_is_bad_or_cut_is_the_callers_fault(coding: Coding, damage: str) -> None:
    whole = _COMPRESS[coding](b"some text")
    body = {"cut": whole[:-1], "nothing": b"", "other": b"no such thing", "tail": whole + b"no such thing"}[
        damage
    ]
    with pytest.raises(BadRequest) as fault:
        inflated(coding, [body])
    assert fault.value.path == "body"


def test_a_zstd_frame_that_needs_a_large_window_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    with pytest.raises(BadRequest, match="window"):
        inflated(Coding.ZSTD, [zstd.ZstdCompressor(options=options).compress(b"x" * 1000) + b"x"])


@pytest.mark.parametrize(
    "encodings, coding",
    [
        ([], Coding.IDENTITY),
        (["identity"], Coding.IDENTITY),
        ([" GZIP "], Coding.GZIP),
        (["x-gzip"], Coding.GZIP),
        (["zstd"], Coding.ZSTD),
        (["gzip, gzip"], None),
        (["gzip", "gzip"], None),
        (["gzip", "zstd"], None),
        (["br"], None),
        (["deflate"], None),
    ],
)
def test_one_coding_is_undone(encodings: list[str], coding: Coding | None) -> None:
    assert coding_of(encodings) is coding


@pytest.mark.parametrize(
    "content_type, kind",
    [
        ("application/json; charset=utf-8", BodyKind.JSON),
        ("Application/X-NDJSON", BodyKind.NDJSON),
        ("application/x-ndjson;charset=UTF-8", BodyKind.NDJSON),
        ("text/plain", BodyKind.TEXT),
        ('text/csv; header=present; charset="utf-8"', BodyKind.TEXT),
        ("application/octet-stream; charset=latin-1", BodyKind.BYTES),
        ("application/x-ndjson; charset=utf-16", None),
        ("text/plain; charset=latin-1", None),
        ("text/", None),
        ("application/xml", None),
        ("", None),
    ],
)
def test_a_body_is_what_its_type_says(content_type: str, kind: BodyKind | None) -> None:
    assert body_kind(content_type) is kind
