"""Tokens of an identity provider (shell): JWT, RFC 7519, checked as RFC 8725 advises."""

from bridge.tokens.issuer import TokenIssuer
from bridge.tokens.jwks import JwksSource
from bridge.tokens.signing_keys import ASYMMETRIC, SYMMETRIC, SigningKeys, parse_jwks
from bridge.tokens.verifier import TokenRule, TokenVerifier

__all__ = (
    "ASYMMETRIC",
    "SYMMETRIC",
    "JwksSource",
    "SigningKeys",
    "TokenIssuer",
    "TokenRule",
    "TokenVerifier",
    "parse_jwks",
)
