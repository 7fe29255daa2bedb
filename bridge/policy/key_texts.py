"""What a key looks like, and what is kept of it (pure): `brk_ID_SECRET_CHECK`.

The prefix and the check let scanners of secrets find keys in code and tell them from what only looks like one, as GitHub's
tokens do. The id is for lookup, logs and people. The secret has 256 random bits, so that a fast hash is enough: nobody tries
them out, and a slow one would let anybody keep the bridge busy.
"""

import hmac
import re
from binascii import crc32
from collections.abc import Callable
from hashlib import blake2s, sha256
from typing import Final, NamedTuple

KEY_PREFIX: Final = "brk_"
ID_CHARS: Final = 8
_SECRET_CHARS: Final = 43
_CHECK_CHARS: Final = 6
_SECRET_BITS: Final = 256
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_AT: Final = slice(len(KEY_PREFIX), len(KEY_PREFIX) + ID_CHARS)
_ID_END: Final = len(KEY_PREFIX) + ID_CHARS

KEY_ID: Final = re.compile(rf"[a-z0-9]{{{ID_CHARS}}}", re.ASCII)

#: A whole number below the one given, each as likely: `secrets.randbelow`.
RandomBelow = Callable[[int], int]


class NewKey(NamedTuple):
    """A key as its owner gets it, once."""

    id: str
    text: str


def new_key(random_below: RandomBelow) -> NewKey:
    """A key that nobody has."""
    key_id = _in_digits(random_below(len(_ID_DIGITS) ** ID_CHARS), _ID_DIGITS, ID_CHARS)
    secret = _in_digits(random_below(2**_SECRET_BITS), _DIGITS, _SECRET_CHARS)
    body = f"{KEY_PREFIX}{key_id}_{secret}"
    return NewKey(key_id, f"{body}_{_check(body)}")


def claimed_id(text: str) -> str | None:
    """The id that *text* claims to have; None where it has no place for one. Nothing is known of the rest."""
    if text.startswith(KEY_PREFIX) and text[_ID_END : _ID_END + 1] == "_":
        return text[_ID_AT]
    return None


def passing_digest(text: str) -> bytes:
    """BLAKE2s of a key, for what is compared in memory and stored nowhere: SHA-256 takes twice the instructions."""
    return blake2s(text.encode("utf-8", "surrogatepass")).digest()


def plain_digest(text: str) -> bytes:
    # Header bytes that are no UTF-8 arrive as lone surrogates; they are wrong, not an error.
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def peppered_digest(text: str, pepper: bytes) -> bytes:
    """HMAC-SHA-256 of a key under *pepper*: a file of these alone does not even tell whether a key was guessed right."""
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), "sha256")


def _check(body: str) -> str:
    return _in_digits(crc32(body.encode()), _DIGITS, _CHECK_CHARS)


def _in_digits(number: int, digits: str, chars: int) -> str:
    found = []
    for _ in range(chars):
        number, digit = divmod(number, len(digits))
        found.append(digits[digit])
    return "".join(reversed(found))
