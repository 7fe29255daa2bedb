"""What becomes of keys that are added, rotated and revoked."""

from datetime import timedelta

import pytest

from bridge.limits import KEY_KEPT_AFTER_END_DAYS
from bridge.policy.key_changes import KeyChangeRefused, NoSuchKey, added, hashed, revoked, rotated
from bridge.policy.keys_file import StoredKey, keys_of
from tests.support.keys import MADE, numbered_key, owned_key

NOW = MADE + timedelta(days=10)
DAY = timedelta(days=1)
FOREVER, SHORT = owned_key(1).stored, owned_key(2, "consume:a/*", expires_at=MADE + 30 * DAY).stored
ENDED = owned_key(3, revoked_at=MADE + DAY).stored


def by_id(keys: list[StoredKey]) -> dict[str, StoredKey]:
    return {each.id: each for each in keys}


def test_a_name_is_taken_as_long_as_a_key_of_it_is_in_force() -> None:
    assert added([ENDED], owned_key(3).stored, NOW) == [ENDED, owned_key(3).stored]
    with pytest.raises(KeyChangeRefused):
        added([FOREVER], owned_key(4, name="key-1").stored, NOW)


@pytest.mark.parametrize("pepper", [None, "pepper of a test"])
def test_a_rotated_key_is_followed_by_one_that_may_the_same_and_lives_as_long(pepper: str | None) -> None:
    keys, fresh = rotated(
        [FOREVER, SHORT], "key-2", numbered_key(9), pepper=pepper, grace=DAY, expires_at=None, now=NOW
    )
    found = by_id(keys)
    assert found[FOREVER.id] == FOREVER
    assert found[SHORT.id].expires_at == NOW + DAY
    assert found[fresh.id] == fresh
    assert (fresh.permissions, fresh.created, fresh.expires_at) == (["consume:a/*"], NOW, NOW + 30 * DAY)
    assert (fresh.sha256 is None, fresh.hmac_sha256 is None) == (pepper is not None, pepper is None)
    assert len(keys_of(keys, has_pepper=pepper is not None)) == 3


def test_an_end_that_comes_before_the_grace_stays() -> None:
    keys, fresh = rotated(
        [SHORT], "key-2", numbered_key(9), pepper=None, grace=90 * DAY, expires_at=NOW + 2 * DAY, now=NOW
    )
    assert by_id(keys)[SHORT.id].expires_at == SHORT.expires_at
    assert fresh.expires_at == NOW + 2 * DAY


def test_a_second_rotation_follows_the_newest_and_leaves_no_third_key_without_an_end() -> None:
    keys, _ = rotated([FOREVER], "key-1", numbered_key(8), pepper=None, grace=DAY, expires_at=None, now=NOW)
    keys, last = rotated(
        keys,
        "key-1",
        numbered_key(9),
        pepper=None,
        grace=3 * DAY,
        expires_at=None,
        now=NOW + timedelta(hours=1),
    )
    assert [each.id for each in keys if each.expires_at is None] == [last.id]


def test_a_key_is_revoked_by_its_id_and_all_of_a_name_by_that() -> None:
    other = owned_key(5, name="key-1").stored
    keys, ended = revoked([FOREVER, other, SHORT], FOREVER.id, NOW)
    assert [each.id for each in ended] == [FOREVER.id]
    assert [each.revoked_at for each in keys] == [NOW, None, None]
    keys, ended = revoked([FOREVER, other, SHORT], "key-1", NOW)
    assert [each.revoked_at for each in keys] == [NOW, NOW, None]


def test_what_is_not_in_force_is_neither_rotated_nor_revoked() -> None:
    for named in ("key-3", ENDED.id, "nobody"):
        with pytest.raises(NoSuchKey):
            revoked([ENDED], named, NOW)
    with pytest.raises(NoSuchKey):
        rotated([ENDED], "key-3", numbered_key(9), pepper=None, grace=DAY, expires_at=None, now=NOW)


def test_a_key_whose_end_nobody_remembers_leaves_the_file_at_the_next_change() -> None:
    old = ENDED.revoked_at
    assert old is not None
    assert added([ENDED], FOREVER, old + KEY_KEPT_AFTER_END_DAYS * DAY) == [FOREVER]
    assert added([ENDED], FOREVER, old + (KEY_KEPT_AFTER_END_DAYS - 1) * DAY) == [ENDED, FOREVER]


def test_a_key_has_one_hash() -> None:
    peppered = hashed(FOREVER, "text", "pepper of a test")
    assert hashed(peppered, "text", None).hmac_sha256 is None
