"""The manifest of a backup: what it says comes back, and what is none is refused in words."""

import pytest

from bridge.errors import ConfigError
from bridge.locallog.manifest import Manifest, decode, encode

MADE = Manifest(
    format=1,
    made_at="2026-11-29T15:23:34.987Z",
    bridge_version="0.1.0",
    schema_version=2,
    size_bytes=118_784,
    sha256="5" * 64,
    streams_count=1,
    topics_count=2,
    messages_count=3,
)


def test_what_a_manifest_says_comes_back() -> None:
    assert decode(encode(MADE)) == MADE


def test_a_member_of_a_later_bridge_is_no_fault() -> None:
    assert decode(encode(MADE).replace(b"{", b'{"also": 1,', 1)) == MADE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        encode(MADE)[:-20],
        encode(MADE).replace(b"555", b"xyz"),
        encode(MADE).replace(b'"messages_count": 3', b'"messages_count": -3'),
        encode(MADE).replace(b'"format": 1', b'"format": "1"'),
        encode(MADE).replace(b'made_at": "', b'made_at": "\xff'),
        encode(MADE).replace(b"{", b'{"also": ' + b"[" * 50_000, 1),
    ],
)
def test_what_is_no_manifest_is_damaged(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.json of the backup is damaged"):
        decode(content)


def test_a_newer_format_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match="made by a newer bridge; restore it with that version"):
        decode(b'{"format": 2, "parts": []}')
