"""JWK sets as they come from a provider."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bridge.limits import JWKS_KEYS_MAX
from bridge.tokens import SigningKeys, parse_jwks
from tests.support.provider import SigningKey

ALGORITHMS = ("RS256", "ES256")
KEY = SigningKey("a")


def _parsed(*jwks: Any) -> SigningKeys:
    return parse_jwks(json.dumps({"keys": jwks}).encode(), ALGORITHMS)


def _without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def test_keys_that_cannot_be_used_are_left_out_and_others_serve() -> None:
    weak = RSAAlgorithm.to_jwk(generate_rsa(65537, 1024).public_key(), as_dict=True)
    other_curve = ECAlgorithm.to_jwk(generate_private_key(SECP384R1()).public_key(), as_dict=True)
    private = ECAlgorithm.to_jwk(SigningKey("p").private, as_dict=True)
    keys = _parsed(
        {**weak, "kid": "weak"},
        {**other_curve, "kid": "curve"},
        {**private, "kid": "private"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {**KEY.jwk(), "kid": "for-encryption", "use": "enc"},
        {**KEY.jwk(), "kid": "other-algorithm", "alg": "ES512"},
        {**KEY.jwk(), "kid": 7},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "kid": "broken"},
        {"kty": "new"},
        {},
        KEY.jwk(),
    )
    assert len(keys) == 1
    assert keys.find("a", "ES256") is not None


def test_a_key_that_says_no_algorithm_serves_those_it_fits() -> None:
    keys = _parsed(_without(KEY.jwk(), "alg", "use"), _without(SigningKey("r", "RS256").jwk(), "alg"))
    assert keys.find("a", "ES256") is not None
    assert keys.find("a", "RS256") is None
    assert keys.find("r", "RS256") is not None
    assert keys.find("r", "ES256") is None


def test_a_token_without_a_key_id_is_of_the_only_key_there_is() -> None:
    assert _parsed(KEY.jwk()).find(None, "ES256") is not None
    assert _parsed(_without(KEY.jwk(), "kid")).find(None, "ES256") is not None
    assert _parsed(KEY.jwk(), SigningKey("b").jwk()).find(None, "ES256") is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[]}', b"\xff", b"<html>"]
)
def test_what_is_no_jwk_set_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        parse_jwks(body, ALGORITHMS)


def test_no_more_keys_than_the_bound_are_looked_at() -> None:
    keys = _parsed(*({**KEY.jwk(), "kid": str(number)} for number in range(3 * JWKS_KEYS_MAX)))
    assert len(keys) == JWKS_KEYS_MAX


def test_a_shared_secret_is_the_key_of_its_algorithms_alone() -> None:
    keys = SigningKeys(secret=b"s" * 32)
    assert len(keys) == 1
    assert keys.find("any", "HS256") == b"s" * 32
    assert keys.find("any", "RS256") is None
    assert len(SigningKeys()) == 0


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
    )
)
def test_no_json_is_more_than_refused(value: Any) -> None:
    for body in (value, {"keys": value}, {"keys": [value]}, {"keys": [{"kty": "EC", "crv": value}]}):
        try:
            parse_jwks(json.dumps(body).encode(), ALGORITHMS)
        except ValueError:
            continue
        pytest.fail("taken")
