import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.groups import tokens as tokens_module
from bridge.groups.records import Scope
from bridge.groups.tokens import Token, Tokens

SCOPE = Scope("stream", "topic", "group")
TOKENS = st.builds(Token, st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 2), st.integers(1, 2**63 - 1))


@given(TOKENS)
def test_a_token_names_what_it_was_made_of(token: Token) -> None:
    text = Tokens(SCOPE).text(token)
    assert len(text) == 54
    assert text.isalnum()
    assert Tokens(SCOPE).read(text, path="token") == token


@given(TOKENS, st.integers(0, 53), st.sampled_from("0123456789abcdefg é"))
def test_a_mangled_token_is_refused(token: Token, at: int, character: str) -> None:
    text = Tokens(SCOPE).text(token)
    mangled = text[:at] + character + text[at + 1 :]
    if mangled == text:
        return
    with pytest.raises(BadRequest) as refused:
        Tokens(SCOPE).read(mangled, path="tokens[3]")
    assert refused.value.path == "tokens[3]"


@pytest.mark.parametrize(
    "scope",
    [Scope("stream", "topic", "other"), Scope("stream", "other", "group"), Scope("other", "topic", "group")],
)
def test_a_token_of_another_group_or_topic_is_refused(scope: Scope) -> None:
    text = Tokens(scope).text(Token(1, 2, 3))
    with pytest.raises(BadRequest, match="no token"):
        Tokens(SCOPE).read(text, path="token")


@pytest.mark.parametrize("text", ["", "x", "0" * 54, "0" * 53, "0" * 100_000, "\udc80" * 54])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="no token"):
        Tokens(SCOPE).read(text, path="token")


@pytest.mark.parametrize(
    "token", [Token(0, 2**63 - 1, 1), Token(0, 2**64 - 1, 1), Token(0, 0, 0), Token(0, 0, 2**63)]
)
def test_a_made_up_token_that_no_record_can_hold_is_refused(token: Token) -> None:
    with pytest.raises(BadRequest, match="no token"):
        Tokens(SCOPE).read(Tokens(SCOPE).text(token), path="token")


def test_a_token_of_another_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(tokens_module, "_VERSION", 2)
        text = Tokens(SCOPE).text(Token(1, 2, 3))
    with pytest.raises(BadRequest, match="version"):
        Tokens(SCOPE).read(text, path="token")
