"""Tokens and keys at one door."""

import pytest

from bridge.policy.access import HOLDER_OF_API_KEY, Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.key_ring import Credentials

ADA = Principal(name="ada")


class Judge:
    """Knows three tokens, and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, token: str, _: float) -> Principal | KeyVerdict:
        self.asked.append(token)
        known: dict[str, Principal | KeyVerdict] = {
            "a.d.a": ADA,
            "e.n.d": KeyVerdict.EXPIRED,
            "n.e.w": KeyVerdict.UNKNOWN_SIGNER,
        }
        return known.get(token, KeyVerdict.WRONG)

    async def judge_anew(self, token: str, now_s: float) -> Principal | KeyVerdict:
        return self.judge(token, now_s)


@pytest.mark.parametrize(
    "token,expected",
    [
        ("a.d.a", ADA),
        ("e.n.d", KeyVerdict.EXPIRED),
        ("n.e.w", KeyVerdict.UNKNOWN_SIGNER),
        ("x.y.z", KeyVerdict.WRONG),
        ("a.key.too", HOLDER_OF_API_KEY),
    ],
)
def test_a_bearer_token_is_judged_before_keys_and_a_key_may_look_like_one(
    token: str, expected: Principal | KeyVerdict
) -> None:
    assert Credentials("a.key.too", tokens=Judge()).judge(bearer=[token]) == expected


def test_tokens_are_bearer_tokens_alone_and_what_is_none_is_not_looked_at() -> None:
    judge = Judge()
    credentials = Credentials(None, tokens=judge)
    assert not credentials.is_open
    assert credentials.judge(["a.d.a"]) is KeyVerdict.WRONG
    assert credentials.judge((), (), ["a.d.a"]) is KeyVerdict.WRONG
    assert credentials.judge(bearer=["no token"]) is KeyVerdict.WRONG
    assert judge.asked == []
