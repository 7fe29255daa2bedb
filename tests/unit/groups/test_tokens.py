import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.groups import tokens as tokens_module
from bridge.groups.records import GroupRef
from bridge.groups.tokens import TOKEN_KEY_BYTES, Token, Tokens

REF = GroupRef("stream", "topic", "group")
KEY = b"k" * TOKEN_KEY_BYTES
OURS = Tokens(REF, KEY)
TOKENS = st.builds(Token, st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 2), st.integers(1, 2**63 - 1))


@given(TOKENS)
def test_a_token_names_what_it_was_made_of(token: Token) -> None:
    text = OURS.text(token)
    assert len(text) == 74
    assert text.isalnum()
    assert OURS.read(text, path="token") == token


@given(TOKENS, st.integers(0, 73), st.sampled_from("0123456789abcdefg é"))
def test_a_mangled_token_is_refused(token: Token, at: int, character: str) -> None:
    text = OURS.text(token)
    mangled = text[:at] + character + text[at + 1 :]
    if mangled == text:
        return
    with pytest.raises(BadRequest) as refused:
        OURS.read(mangled, path="tokens[3]")
    assert refused.value.path == "tokens[3]"


@pytest.mark.parametrize(
    "ref",
    [
        GroupRef("stream", "topic", "other"),
        GroupRef("stream", "other", "group"),
        GroupRef("other", "topic", "group"),
    ],
)
def test_a_token_of_another_group_or_topic_is_refused(ref: GroupRef) -> None:
    text = Tokens(ref, KEY).text(Token(1, 2, 3))
    with pytest.raises(BadRequest, match="no token"):
        OURS.read(text, path="token")


@pytest.mark.parametrize("text", ["", "x", "0" * 74, "0" * 73, "0" * 100_000, "\udc80" * 74])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="no token"):
        OURS.read(text, path="token")


@given(TOKENS)
def test_who_has_not_the_key_makes_no_token(token: Token) -> None:
    for key in (b"", b"K" * TOKEN_KEY_BYTES):
        with pytest.raises(BadRequest, match="no token"):
            OURS.read(Tokens(REF, key).text(token), path="token")


def test_the_names_of_a_group_end_where_they_end() -> None:
    text = Tokens(GroupRef("a", "b", "c"), KEY).text(Token(1, 2, 3))
    for ref in (GroupRef("a", "b", "c\0"), GroupRef("a\0b", "c", ""), GroupRef("a", "b", "")):
        with pytest.raises(BadRequest, match="no token"):
            Tokens(ref, KEY).read(text, path="token")


def test_a_token_of_another_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(tokens_module, "_VERSION", 3)
        text = OURS.text(Token(1, 2, 3))
    with pytest.raises(BadRequest, match="version"):
        OURS.read(text, path="token")


def test_a_message_has_one_token_and_not_another_in_capitals_or_with_spaces() -> None:
    text = OURS.text(Token(1, 2, 0xABCDEF))
    assert OURS.read(text, path="$") == Token(1, 2, 0xABCDEF)
    for other in (text.upper(), f"{text} ", f"{text[:2]} {text[2:]}"):
        with pytest.raises(BadRequest):
            OURS.read(other, path="$")
