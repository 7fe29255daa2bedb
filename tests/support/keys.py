"""Keys and files of them (pure)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bridge.policy.access import ROLES
from bridge.policy.key_ring import KeyRing
from bridge.policy.key_texts import NewKey, new_key, peppered_digest, plain_digest
from bridge.policy.keys_file import StoredKey, decode_keys, encode_keys, keys_of

#: When keys of tests were made.
MADE = datetime(2026, 11, 29, 12, tzinfo=UTC)


class OwnedKey(NamedTuple):
    """A key as it is stored, and its text, which only its owner has."""

    stored: StoredKey
    text: str


def numbered_key(number: int) -> NewKey:
    """Always the same for the same number; *number* is from 0 on."""
    return new_key(lambda below: (number * 0x9E3779B97F4A7C15 + 12_345_678_901) % below)


def owned_key(number: int, *permissions: str, pepper: str | None = None, **fields: Any) -> OwnedKey:
    """Key *number*, which may everything unless *permissions* say what, with other fields of `StoredKey` as they are given."""
    made = numbered_key(number)
    digest = (
        {"sha256": plain_digest(made.text).hex()}
        if pepper is None
        else {"hmac_sha256": peppered_digest(made.text, pepper.encode()).hex()}
    )
    told = {"name": f"key-{number}", "created": MADE, **digest, **fields}
    return OwnedKey(StoredKey(id=made.id, permissions=list(permissions or ROLES["admin"]), **told), made.text)


def write_keys(path: Path, keys: Iterable[OwnedKey]) -> Path:
    """The file of *keys*, which its owner alone may read."""
    path.write_bytes(encode_keys([each.stored for each in keys]))
    path.chmod(0o600)
    return path


def ring_of(*keys: OwnedKey, pepper: str | None = None) -> KeyRing:
    """These in force, as if they came from a file."""
    stored = decode_keys(encode_keys([each.stored for each in keys]))
    return KeyRing(
        keys_of(stored, has_pepper=pepper is not None), pepper=None if pepper is None else pepper.encode()
    )
