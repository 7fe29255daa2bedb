"""The tokens that a configuration takes (wiring)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bridge.clock import Clock
from bridge.config import Config, ConfigFault, TokensConfig
from bridge.config.rules import is_loopback
from bridge.limits import TOKEN_SECRET_CHARS_MIN

if TYPE_CHECKING:
    from bridge.tokens import TokenIssuer

_ASYMMETRIC: Final = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"


def token_issuer(config: TokensConfig, clock: Clock) -> "TokenIssuer | None":
    """The issuer that *config* names; None where it names none."""
    if config.issuer is None:
        return None
    # 10 MB of libraries that nobody else needs.
    from bridge.tokens import TokenIssuer, TokenRule  # noqa: PLC0415

    rule = TokenRule(config.issuer, config.audience, config.algorithms, config.claim, config.type)
    secret = None if config.secret is None else config.secret.encode()
    return TokenIssuer(rule, clock, jwks_url=config.jwks_url, secret=secret)


def tokens_can_be_checked(config: Config) -> Iterator[ConfigFault]:
    """A rule of the configuration."""
    tokens = config.tokens
    if tokens.issuer is None:
        if tokens.jwks_url is not None or tokens.secret is not None or tokens.audience:
            yield ConfigFault(("JWT_ISSUER",), "is missing: tokens are those of one issuer")
        return
    if not tokens.audience:
        yield ConfigFault(
            ("JWT_AUDIENCE",),
            "is missing: without it the issuer's tokens for every other service would be taken",
        )
    if (tokens.jwks_url is None) == (tokens.secret is None):
        yield ConfigFault(("JWT_JWKS_URL", "JWT_SECRET"), "set one of them, to check signatures with")
        return
    from bridge.tokens import ASYMMETRIC, SYMMETRIC  # noqa: PLC0415 (as above)

    if tokens.secret is not None:
        if len(tokens.secret) < TOKEN_SECRET_CHARS_MIN:
            yield ConfigFault(("JWT_SECRET",), f"must have {TOKEN_SECRET_CHARS_MIN} characters or more")
        if not tokens.algorithms or not SYMMETRIC.issuperset(tokens.algorithms):
            yield ConfigFault(("JWT_ALGORITHMS", "JWT_SECRET"), "with a secret, some of HS256, HS384, HS512")
    elif not tokens.algorithms or not ASYMMETRIC.keys() >= set(tokens.algorithms):
        yield ConfigFault(("JWT_ALGORITHMS", "JWT_JWKS_URL"), f"with published keys, some of {_ASYMMETRIC}")
    if tokens.jwks_url is not None and not _is_safe(tokens.jwks_url):
        yield ConfigFault(
            ("JWT_JWKS_URL",),
            "must begin with https://: whoever can change the keys on their way makes tokens",
        )


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
