"""A client certificate in the place of a key."""

from datetime import timedelta
from typing import Any

import pytest

from bridge.policy.access import Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.key_changes import KeyChangeRefused, rotated
from bridge.policy.key_ring import NO_TEXT
from tests.support.keys import MADE, OwnedKey, numbered_key, owned_key, ring_of

NOW_S = MADE.timestamp()


def _certificate(number: int, name: str, *permissions: str, **fields: Any) -> OwnedKey:
    return owned_key(number, *permissions, sha256=None, certificate=name, **fields)


def _name(found: Principal | KeyVerdict) -> str:
    return found.name if isinstance(found, Principal) else found.value


def test_the_first_name_that_is_known_says_who_calls() -> None:
    ring = ring_of(_certificate(1, "cn:billing"), _certificate(2, "uri:spiffe://c/mail"))
    assert _name(ring.judge_certificate(["uri:spiffe://c/mail", "cn:billing"], "::1", NOW_S)) == "key-2"
    assert _name(ring.judge_certificate(["dns:x", "cn:billing"], "::1", NOW_S)) == "key-1"
    assert ring.judge_certificate(["dns:billing"], "::1", NOW_S) is KeyVerdict.MISSING


def test_one_that_is_revoked_has_ended_or_is_elsewhere_is_refused_and_another_of_its_name_serves() -> None:
    revoked = _certificate(1, "cn:a", revoked_at=MADE)
    ended = _certificate(2, "cn:b", expires_at=MADE)
    elsewhere = _certificate(3, "cn:c", networks=["10.0.0.0/8"])
    ring = ring_of(revoked, ended, elsewhere, _certificate(4, "cn:a"))
    assert _name(ring.judge_certificate(["cn:a"], "::1", NOW_S)) == "key-4"
    assert ring.judge_certificate(["cn:b"], "::1", NOW_S) is KeyVerdict.EXPIRED
    assert ring.judge_certificate(["cn:c"], "127.0.0.1", NOW_S) is KeyVerdict.NETWORK
    assert ring_of(revoked).judge_certificate(["cn:a"], "::1", NOW_S) is KeyVerdict.REVOKED


def test_no_text_is_a_certificate() -> None:
    entry = _certificate(1, "cn:a")
    ring = ring_of(entry)
    for text in (numbered_key(1).text, entry.stored.id, "cn:a", "", NO_TEXT.decode()):
        assert ring.judge(text, "::1", NOW_S) is KeyVerdict.WRONG


def test_what_is_open_with_a_certificate_ends_when_another_takes_its_place() -> None:
    ring = ring_of(_certificate(1, "cn:a"))
    key = ring.key(numbered_key(1).id)
    assert key is not None
    assert ring.successor(key) is key
    assert ring_of(_certificate(1, "cn:b")).successor(key) is None


def test_a_certificate_is_not_rotated_here() -> None:
    with pytest.raises(KeyChangeRefused, match="renewed where it was made"):
        rotated(
            [_certificate(1, "cn:a").stored],
            "key-1",
            numbered_key(2),
            pepper=None,
            grace=timedelta(hours=1),
            expires_at=None,
            now=MADE,
        )
