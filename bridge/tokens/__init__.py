"""Tokens of an identity provider (shell): JWT, RFC 7519, checked as RFC 8725 advises."""

from bridge.tokens.jwks import JwksSource
from bridge.tokens.signing_keys import SigningKeys, parse_jwks
from bridge.tokens.verifier import TokenRule, TokenVerdict, TokenVerifier

__all__ = ("JwksSource", "SigningKeys", "TokenRule", "TokenVerdict", "TokenVerifier", "parse_jwks")
