"""What becomes of a file of keys when one is added, rotated or revoked (pure)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from bridge.limits import KEY_KEPT_AFTER_END_DAYS
from bridge.policy.key_texts import NewKey, peppered_digest, plain_digest
from bridge.policy.keys_file import StoredKey

_KEPT_AFTER_END: Final = timedelta(days=KEY_KEPT_AFTER_END_DAYS)


class KeyChangeRefused(Exception):
    """It makes no sense as it was asked for; the message says why."""


class NoSuchKey(KeyChangeRefused):
    """There is no key of this name or id that is in force."""


def hashed(key: StoredKey, text: str, pepper: str | None) -> StoredKey:
    """*key* with the hash of *text*: under *pepper* where there is one."""
    if pepper is None:
        return replace(key, sha256=plain_digest(text).hex(), hmac_sha256=None)
    return replace(key, sha256=None, hmac_sha256=peppered_digest(text, pepper.encode()).hex())


def added(keys: Sequence[StoredKey], key: StoredKey, now: datetime) -> list[StoredKey]:
    """*keys* and *key*, whose name must be free; a name is free again when all of its keys have ended.

    Raises:
        KeyChangeRefused: if it is not.
    """
    if _in_force(keys, key.name, now):
        raise KeyChangeRefused(f"There is a key {key.name} already: rotate it, or choose another name.")
    return [*_kept(keys, now), key]


def rotated(
    keys: Sequence[StoredKey],
    name: str,
    made: NewKey,
    *,
    pepper: str | None,
    grace: timedelta,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[list[StoredKey], StoredKey]:
    """A second key of *name* with all that the newest one may, and an end for those there are, *grace* from now or earlier.

    Args:
        expires_at: of the new key; None for as long a life as the one before it was given.

    Returns:
        All keys, and the new one.

    Raises:
        NoSuchKey: if none of this name is in force.
        KeyChangeRefused: if it is a client certificate.
    """
    in_force = _in_force(keys, name, now)
    if not in_force:
        raise NoSuchKey(f"There is no key {name} in force.")
    newest = max(in_force, key=lambda each: each.created)
    if newest.certificate is not None:
        raise KeyChangeRefused(f"{name} is a client certificate: have it renewed where it was made.")
    if expires_at is None and newest.expires_at is not None:
        expires_at = now + (newest.expires_at - newest.created)
    fresh = hashed(replace(newest, id=made.id, created=now, expires_at=expires_at), made.text, pepper)
    ends = now + grace
    ending = {
        each.id: replace(each, expires_at=ends if each.expires_at is None else min(ends, each.expires_at))
        for each in in_force
    }
    return [*(ending.get(each.id, each) for each in _kept(keys, now)), fresh], fresh


def revoked(keys: Sequence[StoredKey], named: str, now: datetime) -> tuple[list[StoredKey], list[StoredKey]]:
    """Without the key of this id, or every key of this name, from now on; they stay in the file, so that their use is seen.

    Returns:
        All keys, and those that were revoked.

    Raises:
        NoSuchKey: if none of them is in force.
    """
    meant = [each for each in keys if each.id == named and not each.ended(now)] or _in_force(keys, named, now)
    if not meant:
        raise NoSuchKey(f"There is no key {named} in force.")
    ended = {each.id: replace(each, revoked_at=now) for each in meant}
    return [ended.get(each.id, each) for each in _kept(keys, now)], list(ended.values())


def _in_force(keys: Sequence[StoredKey], name: str, now: datetime) -> list[StoredKey]:
    return [each for each in keys if each.name == name and not each.ended(now)]


def _kept(keys: Sequence[StoredKey], now: datetime) -> list[StoredKey]:
    """All but those whose end nobody remembers."""
    ends = ((each, each.revoked_at or each.expires_at) for each in keys)
    return [each for each, end in ends if end is None or end > now - _KEPT_AFTER_END]
