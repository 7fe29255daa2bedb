"""What a token is worth (pure)."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWTError

from bridge.limits import (
    PERMISSIONS_MAX,
    TOKEN_CHARS_MAX,
    TOKEN_LEEWAY_S,
    TOKEN_SUBJECT_CHARS_MAX,
    TOKENS_VERIFIED_MAX,
)
from bridge.policy.access import ROLES, Permission, Principal, parse_permission
from bridge.policy.api_keys import KeyVerdict
from bridge.tokens.signing_keys import SigningKeys

_REQUIRED: Final = ("exp", "iss", "aud", "sub")
_ROLE: Final = "role:"


class _UnknownKey(InvalidTokenError):
    pass


class TokenRule(NamedTuple):
    """Which tokens are taken.

    Attributes:
        audiences: one of them must be among the token's own.
        algorithms: by which it may be signed; all of them of public keys, or all of a shared secret.
        claim: the name of the one that says what its subject may; a name with dots leads into objects where there is no claim
            of the whole name.
        type: the `typ` that it must have (RFC 9068: `at+jwt`); "" for any.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    claim: str
    type: str = ""


class TokenVerifier:
    """Checks tokens against *rule*.

    Those found right are remembered, `TOKENS_VERIFIED_MAX` of them, until they end or the keys change.

    Attributes:
        keys: what signatures are checked with; empty until they are known.
    """

    def __init__(self, rule: TokenRule, keys: SigningKeys) -> None:
        self._rule = rule
        self.keys = keys
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    def use(self, keys: SigningKeys) -> None:
        """Check with these from now on."""
        self.keys = keys
        self._verified.clear()

    def verify(self, token: str, now_s: float) -> Principal | KeyVerdict:
        """Whose *token* it is, or why nobody's.

        Args:
            now_s: seconds since 1970.
        """
        known = self._verified.get(token)
        if known is None:
            return self._verify(token)
        if known.expires_at_s is not None and known.expires_at_s + TOKEN_LEEWAY_S <= now_s:
            del self._verified[token]
            return KeyVerdict.EXPIRED
        self._verified.move_to_end(token)
        return known

    def _verify(self, token: str) -> Principal | KeyVerdict:
        try:
            principal = _principal(self._claims(token), self._rule.claim)
        except _UnknownKey:
            return KeyVerdict.UNKNOWN_SIGNER
        except ExpiredSignatureError:
            return KeyVerdict.EXPIRED
        except (PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            # Whatever bytes of strangers make of a parser is no fault of the bridge.
            return KeyVerdict.WRONG
        self._verified[token] = principal
        if len(self._verified) > TOKENS_VERIFIED_MAX:
            self._verified.popitem(last=False)
        return principal

    def _claims(self, token: str) -> Mapping[str, Any]:
        rule = self._rule
        if len(token) > TOKEN_CHARS_MAX:
            raise InvalidTokenError
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in rule.algorithms or not _is_of_type(header.get("typ"), rule.type):
            raise InvalidTokenError
        key = self.keys.find(key_id, algorithm)
        if key is None:
            raise _UnknownKey
        # Of the header nothing else is believed: no key or address of keys that a token brings along (`jwk`, `jku`, `x5u`).
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=rule.audiences,
            issuer=rule.issuer,
            leeway=TOKEN_LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )
        return claims


def _is_of_type(found: object, wanted: str) -> bool:
    if not wanted:
        return True
    # RFC 7515 section 4.1.9: a prefix may be left out, and letters are the same in both cases.
    return isinstance(found, str) and found.lower().removeprefix("application/") == wanted.lower()


def _principal(claims: Mapping[str, Any], claim: str) -> Principal:
    subject = claims["sub"]
    permissions = tuple(_permissions(_words(_claim(claims, claim))))
    if not 1 <= len(subject) <= TOKEN_SUBJECT_CHARS_MAX or len(permissions) > PERMISSIONS_MAX:
        raise InvalidTokenError
    return Principal(name=subject, permissions=permissions, expires_at_s=float(claims["exp"]))


def _claim(claims: Mapping[str, Any], name: str) -> object:
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _words(found: object) -> Iterable[str]:
    if isinstance(found, str):
        # RFC 8693 section 4.2: words apart by spaces.
        return found.split(" ")
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else ()


def _permissions(words: Iterable[str]) -> Iterator[Permission]:
    """Those that *words* spell, or roles among them stand for; words of other services are passed over."""
    for word in dict.fromkeys(words):
        of_role = ROLES.get(word.removeprefix(_ROLE), ()) if word.startswith(_ROLE) else (word,)
        for text in of_role:
            with suppress(ValueError):
                yield parse_permission(text)
