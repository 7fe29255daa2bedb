"""Who sends a request, by the keys that it carries."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy import key_ring
from bridge.policy.access import HOLDER_OF_API_KEY, Principal
from bridge.policy.api_keys import KeyVerdict, bearer_tokens
from bridge.policy.key_ring import Credentials, KeyRing
from tests.support.keys import MADE, OwnedKey, owned_key, ring_of

RULE = Credentials("the-right-key")
PEPPER = "pepper of a test"
NOW_S = MADE.timestamp()


def test_without_any_key_everyone_may() -> None:
    assert Credentials(None).is_open
    assert not Credentials("a").is_open
    assert not Credentials(None, KeyRing()).is_open


def test_the_right_key_is_right_in_header_and_query() -> None:
    assert RULE.judge(["the-right-key"]) is HOLDER_OF_API_KEY
    assert RULE.judge(query=["the-right-key"]) is HOLDER_OF_API_KEY


@given(st.text(min_size=1).filter(lambda text: text != "the-right-key"))
def test_every_other_key_is_wrong(key: str) -> None:
    assert RULE.judge([key]) is KeyVerdict.WRONG
    assert RULE.judge(query=[key]) is KeyVerdict.WRONG


def test_bytes_that_are_no_text_are_wrong_and_no_fault() -> None:
    assert RULE.judge(["\udcff\ud800"]) is KeyVerdict.WRONG


@pytest.mark.parametrize("header,query", [([], []), ([""], []), ([], [""])])
def test_no_key_is_missing_and_not_wrong(header: list[str], query: list[str]) -> None:
    assert RULE.judge(header, query=query) is KeyVerdict.MISSING


def test_two_keys_are_refused_even_if_one_is_right() -> None:
    assert RULE.judge(["the-right-key", "other"]) is KeyVerdict.WRONG
    assert RULE.judge(["the-right-key", "the-right-key"]) is KeyVerdict.WRONG
    assert RULE.judge(query=["other", "the-right-key"]) is KeyVerdict.WRONG


def test_a_bearer_token_is_as_good_as_the_header_and_beside_it_must_be_the_same() -> None:
    assert RULE.judge(bearer=["the-right-key"]) is HOLDER_OF_API_KEY
    assert RULE.judge(["the-right-key"], bearer=["the-right-key"]) is HOLDER_OF_API_KEY
    assert RULE.judge(["the-right-key"], bearer=["other"]) is KeyVerdict.WRONG
    assert RULE.judge(["other"], bearer=["the-right-key"]) is KeyVerdict.WRONG
    assert RULE.judge(bearer=["wrong"], query=["the-right-key"]) is KeyVerdict.WRONG


@pytest.mark.parametrize(
    "lines,tokens",
    [
        (["Bearer abc"], ["abc"]),
        (["bEARER   abc"], ["abc"]),
        (["Basic YTpi"], []),
        (["Bearerabc"], []),
        (["Bearer"], []),
        ([], []),
        (["Basic YTpi", "Digest x"], []),
        (["Basic YTpi", "Bearer abc"], ["Basic YTpi", "Bearer abc"]),
        (["Bearer abc", "Bearer abc"], ["Bearer abc", "Bearer abc"]),
    ],
)
def test_only_the_scheme_bearer_brings_tokens_and_only_one_line_of_it(
    lines: list[str], tokens: list[str]
) -> None:
    assert list(bearer_tokens(lines)) == tokens


def test_a_wrong_header_is_not_saved_by_the_query() -> None:
    assert RULE.judge(["wrong"], query=["the-right-key"]) is KeyVerdict.WRONG


@pytest.mark.parametrize("key", ["x", "the-right-kez", "the-right-key", "k" * 1_000_000])
def test_every_comparison_is_of_digests_of_one_length(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watch(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    RULE.judge([key])
    assert compared == [(32, 32)]


def named(found: Principal | KeyVerdict) -> str:
    return found.value if isinstance(found, KeyVerdict) else found.name


@pytest.mark.parametrize("pepper", [None, PEPPER])
def test_each_key_of_a_ring_is_its_own_principal(pepper: str | None) -> None:
    keys = [owned_key(number, pepper=pepper) for number in range(3)]
    judge = Credentials("the-right-key", ring_of(*keys, pepper=pepper)).judge
    assert [named(judge([each.text])) for each in keys] == ["key-0", "key-1", "key-2"]
    assert judge(["the-right-key"]) is HOLDER_OF_API_KEY
    assert judge(bearer=[keys[0].text]) == judge(query=[keys[0].text]) == judge([keys[0].text])


def test_plain_and_peppered_keys_stand_side_by_side() -> None:
    keys = [owned_key(0), owned_key(1, pepper=PEPPER)]
    judge = Credentials(None, ring_of(*keys, pepper=PEPPER)).judge
    assert [named(judge([each.text])) for each in keys] == ["key-0", "key-1"]
    assert judge([keys[0].text[:-1] + "!"]) is judge([keys[1].text[:-1] + "!"]) is KeyVerdict.WRONG


@given(st.integers(min_value=0, max_value=62), st.characters())
def test_a_key_of_a_ring_with_one_other_character_is_wrong(at: int, other: str) -> None:
    key = owned_key(7)
    text = key.text[:at] + other + key.text[at + 1 :]
    found = Credentials(None, ring_of(key)).judge([text])
    assert named(found) == ("key-7" if text == key.text else "wrong")


@pytest.mark.parametrize(
    "key,client,verdict",
    [
        (owned_key(1), "192.0.2.1", "key-1"),
        (owned_key(1, revoked_at=MADE), "192.0.2.1", "revoked"),
        (owned_key(1, revoked_at=MADE + timedelta(days=9)), "192.0.2.1", "revoked"),
        (owned_key(1, expires_at=MADE), "192.0.2.1", "expired"),
        (owned_key(1, expires_at=MADE + timedelta(seconds=1)), "192.0.2.1", "key-1"),
        (owned_key(1, networks=["192.0.2.0/24"]), "192.0.2.1", "key-1"),
        (owned_key(1, networks=["192.0.2.0/24"]), "192.0.3.1", "network"),
        (owned_key(1, revoked_at=MADE, networks=["10.0.0.0/8"], expires_at=MADE), "192.0.2.1", "revoked"),
    ],
)
def test_a_key_that_has_ended_or_is_for_elsewhere_is_refused(
    key: OwnedKey, client: str, verdict: str
) -> None:
    judge = Credentials(None, ring_of(key)).judge
    assert named(judge([key.text], client=client, now_s=NOW_S)) == verdict
    # Only who has the right text finds out.
    assert judge([key.text[:-1] + "!"], client=client, now_s=NOW_S) is KeyVerdict.WRONG


def test_a_ring_that_is_replaced_knows_the_new_keys_alone() -> None:
    old, new = owned_key(1), owned_key(2, pepper=PEPPER)
    ring = ring_of(old, pepper=PEPPER)
    credentials = Credentials(None, ring)
    # The second time it is known by its look.
    assert [named(credentials.judge([old.text])) for _ in range(2)] == ["key-1"] * 2
    assert named(credentials.judge([old.text[:-1] + "!"])) == "wrong"
    fresh = ring_of(new, pepper=PEPPER)
    ring.replace(filter(None, [fresh.key(new.stored.id)]))
    assert named(credentials.judge([old.text])) == "wrong"
    assert named(credentials.judge([new.text])) == "key-2"
    assert list(ring.ids) == [new.stored.id]
    assert (len(ring), ring.key(old.stored.id), ring.key(None)) == (1, None, None)


def test_keys_in_force_are_counted() -> None:
    ended = owned_key(2, revoked_at=MADE), owned_key(3, expires_at=MADE)
    assert ring_of(owned_key(1), *ended).in_force(NOW_S) == 1


def test_the_next_end_is_that_of_a_holder_who_has_no_other_key() -> None:
    def ending(number: int, days: int, **more: Any) -> OwnedKey:
        return owned_key(number, expires_at=MADE + timedelta(days=days), **more)

    rotated = ending(1, 1, name="rotated"), ending(2, 90, name="rotated")
    endless = ending(3, 1, name="endless"), owned_key(4, name="endless")
    over = ending(5, 2, revoked_at=MADE), ending(6, 0)
    assert ring_of(*endless, *over).next_end_s(NOW_S) is None
    assert ring_of(*rotated, *endless, *over).next_end_s(NOW_S) == NOW_S + 90 * 86400
    assert ring_of(ending(7, 30), *rotated, *endless, *over).next_end_s(NOW_S) == NOW_S + 30 * 86400


def watched(real: Callable[..., bytes], name: str, called: list[str]) -> Callable[..., bytes]:
    def call(*given: Any) -> bytes:
        called.append(name)
        return real(*given)

    return call


@pytest.mark.parametrize("pepper", [None, PEPPER])
@pytest.mark.parametrize("keys", [0, 1, 2])
def test_right_wrong_and_unknown_keys_take_the_same_steps(
    keys: int, pepper: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    digested: list[str] = []

    def watch(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return bool(one == other)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    for name in ("plain_digest", "peppered_digest"):
        monkeypatch.setattr(key_ring, name, watched(getattr(key_ring, name), name, digested))
    known = owned_key(1, pepper=pepper)
    ring = ring_of(*[known, owned_key(2)][:keys], pepper=pepper)
    # A right text takes them the first time that it is shown; then its holder alone sees that it is known.
    for text in (known.text, known.text[:-1] + "!", owned_key(3).text, "x", "k" * 1_000_000):
        ring.judge(text, "127.0.0.1", NOW_S)
    assert compared == [(32, 32)] * 5
    assert digested == digested[: len(digested) // 5] * 5
