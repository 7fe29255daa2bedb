"""The keys that tokens are signed with (pure): JWK sets, RFC 7517."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from bridge.limits import JWKS_KEYS_MAX, RSA_KEY_BITS_MIN

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
_Fits: TypeAlias = Callable[[object], bool]


def _is_rsa(key: object) -> bool:
    return isinstance(key, RSAPublicKey) and key.key_size >= RSA_KEY_BITS_MIN


def _is_on(curve: type[SECP256R1 | SECP384R1]) -> _Fits:
    return lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, curve)


#: Algorithms of providers (RFC 7518, RFC 8037), and whether a key is one of theirs. Without `none`, and without those of
#: shared secrets: a public key must never be taken for one (RFC 8725 section 2.1).
ASYMMETRIC: Final[Mapping[str, _Fits]] = {
    "RS256": _is_rsa,
    "RS384": _is_rsa,
    "RS512": _is_rsa,
    "PS256": _is_rsa,
    "PS384": _is_rsa,
    "PS512": _is_rsa,
    "ES256": _is_on(SECP256R1),
    "ES384": _is_on(SECP384R1),
    "EdDSA": lambda key: isinstance(key, Ed25519PublicKey),
}
#: Those of a secret that the bridge shares with the issuer.
SYMMETRIC: Final = frozenset(("HS256", "HS384", "HS512"))


class _Jwk(NamedTuple):
    """One key; *algorithm* is what its publisher keeps it for, None where nothing is said."""

    key: PublicKey
    algorithm: str | None


class SigningKeys:
    """Which key a token's signature is checked with.

    Args:
        by_id: of a provider; those without an id are not used where there are others.
        secret: shared with the issuer, in place of the keys of a provider.
    """

    def __init__(
        self, by_id: Mapping[str | None, _Jwk] | None = None, *, secret: bytes | None = None
    ) -> None:
        self._by_id = by_id or {}
        self._secret = secret

    def __len__(self) -> int:
        return len(self._by_id) + (self._secret is not None)

    def find(self, key_id: str | None, algorithm: str) -> Any | None:
        """The key of that id for *algorithm*; None where there is none, or where it is for another one."""
        if algorithm in SYMMETRIC:
            return self._secret
        if key_id is None and len(self._by_id) == 1:
            (jwk,) = self._by_id.values()
        else:
            found = self._by_id.get(key_id)
            if found is None:
                return None
            jwk = found
        fits = ASYMMETRIC.get(algorithm)
        return jwk.key if fits is not None and fits(jwk.key) and jwk.algorithm in (None, algorithm) else None


class _Jwks(msgspec.Struct):
    keys: list[dict[str, Any]]


def parse_jwks(body: bytes, algorithms: Collection[str]) -> SigningKeys:
    """The public keys in a JWK set that sign by one of *algorithms*; others are left out, as section 5 of RFC 7517 has it.

    Raises:
        ValueError: if *body* is no such set, or none of its keys can be used.
    """
    try:
        described = msgspec.json.decode(body, type=_Jwks).keys[:JWKS_KEYS_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is no JWK set") from None
    found: dict[str | None, _Jwk] = {}
    for each in described:
        key_id = each.get("kid")
        jwk = _usable(each, algorithms)
        if jwk is not None and (key_id is None or isinstance(key_id, str)):
            found[key_id] = jwk
    if not found:
        raise ValueError("it has no key that can be used")
    return SigningKeys(found)


def _usable(described: dict[str, Any], algorithms: Collection[str]) -> _Jwk | None:
    if described.get("use", "sig") != "sig":
        return None
    algorithm = described.get("alg")
    try:
        key = PyJWK(described).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return None
    return (
        _Jwk(key, algorithm)
        if any(ASYMMETRIC[each](key) for each in algorithms if algorithm in (None, each))
        else None
    )
