"""An issuer: what its tokens are worth by the keys that are known, and when it is asked for others."""

import time
from collections.abc import Iterator

import jwt
import pytest
from structlog.testing import capture_logs

from bridge.errors import SigningKeysUnavailable
from bridge.policy.access import Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.tokens import TokenIssuer, TokenRule
from tests.support.clock import FakeClock
from tests.support.provider import AUDIENCE, ISSUER, Provider, SigningKey

KEY, OTHER = SigningKey("a"), SigningKey("b")
RULE = TokenRule(ISSUER, (AUDIENCE,), ("ES256",), "scope")
SECRET = b"s" * 32


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(KEY) as serving:
        yield serving


@pytest.fixture
def issuer(provider: Provider) -> TokenIssuer:
    return TokenIssuer(RULE, FakeClock(), jwks_url=provider.url)


async def test_an_issuer_that_shares_a_secret_is_asked_for_nothing() -> None:
    issuer = TokenIssuer(RULE._replace(algorithms=("HS256",)), FakeClock(), secret=SECRET)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 60}
    assert issuer.source is None
    for secret, kind in ((SECRET, Principal), (b"o" * 32, KeyVerdict)):
        token = jwt.encode(claims, secret, "HS256")
        assert isinstance(issuer.judge(token, time.time()), kind)
        assert isinstance(await issuer.judge_anew(token, time.time()), kind)


async def test_a_token_under_a_key_that_is_not_known_yet_is_right_once_the_issuer_was_asked(
    issuer: TokenIssuer,
) -> None:
    token, now_s = KEY.token(), time.time()
    assert issuer.judge(token, now_s) is KeyVerdict.UNKNOWN_SIGNER
    found = await issuer.judge_anew(token, now_s)
    assert isinstance(found, Principal)
    assert issuer.judge(token, now_s) is found


async def test_whoever_sends_tokens_under_unknown_keys_has_the_issuer_asked_once_in_a_while(
    issuer: TokenIssuer, provider: Provider
) -> None:
    for _ in range(3):
        assert await issuer.judge_anew(OTHER.token(), time.time()) is KeyVerdict.UNKNOWN_SIGNER
    assert provider.asked == 1


async def test_while_no_key_is_known_nobody_is_told_that_a_token_is_wrong_but_where_it_is_anyhow(
    issuer: TokenIssuer, provider: Provider
) -> None:
    provider.status = 503
    with capture_logs(), pytest.raises(SigningKeysUnavailable):
        await issuer.judge_anew(KEY.token(), time.time())
    assert await issuer.judge_anew("no.token.atall", time.time()) is KeyVerdict.WRONG
