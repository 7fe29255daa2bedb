"""Whether a request carries the right key."""

import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.api_keys import ApiKeyRule, KeyVerdict, bearer_tokens

RULE = ApiKeyRule("the-right-key")


def test_without_a_configured_key_everyone_may() -> None:
    assert ApiKeyRule(None).verdict(["anything"]) is KeyVerdict.OPEN


def test_the_right_key_is_right_in_header_and_query() -> None:
    assert RULE.verdict(["the-right-key"]) is KeyVerdict.RIGHT
    assert RULE.verdict(query=["the-right-key"]) is KeyVerdict.RIGHT


@given(st.text(min_size=1).filter(lambda text: text != "the-right-key"))
def test_every_other_key_is_wrong(key: str) -> None:
    assert RULE.verdict([key]) is KeyVerdict.WRONG
    assert RULE.verdict(query=[key]) is KeyVerdict.WRONG


def test_bytes_that_are_no_text_are_wrong_and_no_fault() -> None:
    assert RULE.verdict(["\udcff\ud800"]) is KeyVerdict.WRONG


@pytest.mark.parametrize("header,query", [([], []), ([""], []), ([], [""])])
def test_no_key_is_missing_and_not_wrong(header: list[str], query: list[str]) -> None:
    assert RULE.verdict(header, query=query) is KeyVerdict.MISSING


def test_two_keys_are_refused_even_if_one_is_right() -> None:
    assert RULE.verdict(["the-right-key", "other"]) is KeyVerdict.WRONG
    assert RULE.verdict(["the-right-key", "the-right-key"]) is KeyVerdict.WRONG
    assert RULE.verdict(query=["other", "the-right-key"]) is KeyVerdict.WRONG


def test_a_bearer_token_is_as_good_as_the_header_and_beside_it_must_be_the_same() -> None:
    assert RULE.verdict(bearer=["the-right-key"]) is KeyVerdict.RIGHT
    assert RULE.verdict(["the-right-key"], bearer=["the-right-key"]) is KeyVerdict.RIGHT
    assert RULE.verdict(["the-right-key"], bearer=["other"]) is KeyVerdict.WRONG
    assert RULE.verdict(["other"], bearer=["the-right-key"]) is KeyVerdict.WRONG
    assert RULE.verdict(bearer=["wrong"], query=["the-right-key"]) is KeyVerdict.WRONG


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
    assert RULE.verdict(["wrong"], query=["the-right-key"]) is KeyVerdict.WRONG


@pytest.mark.parametrize("key", ["x", "the-right-kez", "the-right-key", "k" * 1_000_000])
def test_every_comparison_is_of_digests_of_one_length(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watch(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    RULE.verdict([key])
    assert compared == [(32, 32)]
