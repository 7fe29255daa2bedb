"""An issuer of tokens: what theirs are worth, and where its keys come from (shell)."""

from contextlib import suppress

from bridge.clock import Clock
from bridge.errors import SigningKeysUnavailable
from bridge.policy.access import Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.tokens.jwks import JwksSource
from bridge.tokens.signing_keys import SigningKeys
from bridge.tokens.verifier import TokenRule, TokenVerifier


class TokenIssuer:
    """Judges tokens against *rule*.

    Args:
        jwks_url: where the issuer publishes its keys; None where it shares *secret*.

    Attributes:
        source: of its keys, to be asked in the background; None where there is nothing to ask.
    """

    def __init__(
        self, rule: TokenRule, clock: Clock, *, jwks_url: str | None = None, secret: bytes | None = None
    ) -> None:
        self._verifier = TokenVerifier(rule, SigningKeys(secret=secret))
        self.source: JwksSource | None = None
        if jwks_url is not None:
            self.source = JwksSource(jwks_url, rule.algorithms, self._verifier.use, clock)

    def judge(self, token: str, now_s: float) -> Principal | KeyVerdict:
        """As of `policy.key_ring.TokenJudge`, by the keys that are known now."""
        return self._verifier.verify(token, now_s)

    async def judge_anew(self, token: str, now_s: float) -> Principal | KeyVerdict:
        """As of `policy.key_ring.TokenJudge`."""
        if self.source is not None and self.source.may_ask():
            with suppress(SigningKeysUnavailable):
                await self.source.step()
        found = self.judge(token, now_s)
        if found is KeyVerdict.UNKNOWN_SIGNER and not self._verifier.keys:
            raise SigningKeysUnavailable
        return found
