"""Bounds of tokens and of the keys that they are signed with (leaf, pure)."""

from typing import Final

# --- tokens -----------------------------------------------------------------------------------------------------
# The longest token that is looked at; a header field ends at 8,190 bytes.
TOKEN_CHARS_MAX: Final = 8_000
# Clocks of an identity provider and of the bridge differ by so much at most.
TOKEN_LEEWAY_S: Final = 30.0
# Tokens whose signature was found right, so that it is checked once and not with each request (RS256: 60 us, measured).
TOKENS_VERIFIED_MAX: Final = 1_024
TOKEN_SUBJECT_CHARS_MAX: Final = 255
# HS256 asks for a key as long as its hash (RFC 7518 section 3.2); a character of a secret has less than a byte of chance.
TOKEN_SECRET_CHARS_MIN: Final = 32
# --- signing keys -----------------------------------------------------------------------------------------------
# 64 keys of 4,096 bits with their certificates are 200 KB.
JWKS_BYTES_MAX: Final = 256 * 1024
JWKS_KEYS_MAX: Final = 64
JWKS_TIMEOUT_S: Final = 5.0
# Providers publish a key well before they sign with it.
JWKS_INTERVAL_S: Final = 600.0
# A token under an unknown key makes the bridge ask at once, and whoever sends such tokens no oftener than this.
JWKS_ASKED_INTERVAL_S: Final = 30.0
# A provider that is away for longer: keys that it has withdrawn meanwhile must not be good for ever.
JWKS_STALE_S_MAX: Final = 3_600.0
# RSA keys that are shorter can be broken (NIST SP 800-131A).
RSA_KEY_BITS_MIN: Final = 2_048
