"""What a token is worth."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import (
    PERMISSIONS_MAX,
    TOKEN_CHARS_MAX,
    TOKEN_LEEWAY_S,
    TOKEN_SUBJECT_CHARS_MAX,
    TOKENS_VERIFIED_MAX,
)
from bridge.policy.access import Principal, Scope
from bridge.policy.api_keys import KeyVerdict
from bridge.tokens import SigningKeys, TokenRule, TokenVerifier, parse_jwks
from tests.support.provider import AUDIENCE, ISSUER, SigningKey

ALGORITHMS = ("RS256", "ES256", "EdDSA")
RULE = TokenRule(ISSUER, (AUDIENCE, "other"), ALGORITHMS, "scope")
KEYS = {algorithm: SigningKey(f"key-{algorithm}", algorithm) for algorithm in ALGORITHMS}
KEY = KEYS["ES256"]
SECRET = b"s" * 32


def _set(*keys: SigningKey) -> SigningKeys:
    return parse_jwks(json.dumps({"keys": [key.jwk() for key in keys]}).encode(), ALGORITHMS)


def _verifier(rule: TokenRule = RULE) -> TokenVerifier:
    return TokenVerifier(rule, _set(*KEYS.values()))


def _verdict(token: str, rule: TokenRule = RULE) -> Principal | KeyVerdict:
    return _verifier(rule).verify(token, time.time())


def _accepted(token: str, rule: TokenRule = RULE) -> Principal:
    principal = _verdict(token, rule)
    assert isinstance(principal, Principal)
    return principal


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_the_provider_says_who_calls_what_they_may_and_how_long(algorithm: str) -> None:
    ends_s = int(time.time()) + 60
    principal = _accepted(KEYS[algorithm].token({"scope": "openid produce:orders/*", "exp": ends_s}))
    assert principal.name == "ada"
    assert principal.expires_at_s == ends_s
    assert principal.may(Scope.PRODUCE, "orders", "new")
    assert not principal.may(Scope.PRODUCE, "other", "new")
    assert not principal.has(Scope.CONSUME)
    assert not principal.unrestricted


@pytest.mark.parametrize(
    "claims,claim,scopes",
    [
        ({"scope": "produce consume"}, "scope", {Scope.PRODUCE, Scope.CONSUME}),
        ({"scp": ["admin", "metrics", 7]}, "scp", {Scope.ADMIN, Scope.METRICS}),
        ({"scope": "role:editor"}, "scope", {Scope.PRODUCE, Scope.CONSUME}),
        ({"scope": "role:nobody editor"}, "scope", set()),
        ({"realm_access": {"roles": ["role:viewer"]}}, "realm_access.roles", {Scope.CONSUME}),
        ({"https://example.com/may": ["produce"]}, "https://example.com/may", {Scope.PRODUCE}),
        ({"scope": None}, "scope", set()),
        ({"scope": {"a": 1}}, "scope", set()),
        ({"a": "b"}, "a.b.c", set()),
    ],
)
def test_what_they_may_is_read_from_the_claim_that_is_named(
    claims: dict[str, Any], claim: str, scopes: set[Scope]
) -> None:
    principal = _accepted(KEY.token({"scope": None, **claims}), RULE._replace(claim=claim))
    assert {scope for scope in Scope if principal.has(scope)} == scopes


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.com/"},
        {"iss": None},
        {"aud": "somebody else"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * (TOKEN_SUBJECT_CHARS_MAX + 1)},
        {"exp": None},
        {"exp": 10**400},
        {"nbf": time.time() + 3600},
        {"scope": [f"produce:s/t{number}" for number in range(PERMISSIONS_MAX + 1)]},
    ],
)
def test_a_token_for_others_or_of_others_is_worth_nothing(claims: dict[str, Any]) -> None:
    assert _verdict(KEY.token(claims)) is KeyVerdict.WRONG


def test_a_token_may_say_as_much_as_there_is_room_for() -> None:
    words = [f"produce:s/t{number}" for number in range(PERMISSIONS_MAX)]
    principal = _accepted(KEY.token({"scope": words, "sub": "x" * TOKEN_SUBJECT_CHARS_MAX}))
    assert len(principal.permissions) == PERMISSIONS_MAX


def test_a_token_ends_with_its_time_and_the_difference_of_clocks() -> None:
    assert _verdict(KEY.token(lifetime_s=-TOKEN_LEEWAY_S - 5)) is KeyVerdict.EXPIRED
    assert isinstance(_verdict(KEY.token(lifetime_s=-TOKEN_LEEWAY_S + 10)), Principal)


def test_one_that_was_found_right_ends_all_the_same() -> None:
    verifier, token, now_s = _verifier(), KEY.token(lifetime_s=60), time.time()
    assert verifier.verify(token, now_s) is verifier.verify(token, now_s + 59)
    assert verifier.verify(token, now_s + 61 + TOKEN_LEEWAY_S) is KeyVerdict.EXPIRED


def test_new_keys_end_the_tokens_of_old_ones() -> None:
    verifier, token = _verifier(), KEY.token()
    assert isinstance(verifier.verify(token, time.time()), Principal)
    verifier.use(_set(SigningKey("new"), SigningKey("newer")))
    assert verifier.verify(token, time.time()) is KeyVerdict.UNKNOWN_SIGNER
    assert len(verifier.keys) == 2


def test_a_hundred_times_as_many_tokens_are_not_remembered() -> None:
    verifier = TokenVerifier(RULE._replace(algorithms=("HS256",)), SigningKeys(secret=SECRET))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60}
    first = jwt.encode({**claims, "sub": "first"}, SECRET, "HS256")
    found = verifier.verify(first, time.time())
    assert isinstance(found, Principal)
    for number in range(TOKENS_VERIFIED_MAX + 1):
        assert isinstance(
            verifier.verify(jwt.encode({**claims, "sub": str(number)}, SECRET, "HS256"), time.time()),
            Principal,
        )
    assert verifier.verify(first, time.time()) is not found


def _unsigned(header: dict[str, Any], payload: dict[str, Any] | None = None, signature: str = "") -> str:
    claims = payload or {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 60}
    parts = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, claims)
    )
    return ".".join((*parts, signature))


def test_a_token_without_a_signature_is_worth_nothing() -> None:
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        assert _verdict(_unsigned({"alg": algorithm, "kid": KEY.key_id})) is KeyVerdict.WRONG
    assert _verdict(_unsigned({"alg": "ES256", "kid": KEY.key_id})) is KeyVerdict.WRONG


def test_a_public_key_is_never_taken_for_a_shared_secret() -> None:
    pem = KEYS["RS256"].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _unsigned({"alg": "HS256", "kid": KEYS["RS256"].key_id}).rpartition(".")[0]
    signature = base64.urlsafe_b64encode(jwt.get_algorithm_by_name("HS256").sign(head.encode(), pem))
    assert _verdict(f"{head}.{signature.rstrip(b'=').decode()}") is KeyVerdict.WRONG


def test_a_key_that_a_token_brings_along_is_not_believed() -> None:
    stranger = SigningKey("stranger")
    for header in (
        {"jwk": stranger.jwk()},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example"},
    ):
        assert _verdict(stranger.token(header=header)) is KeyVerdict.UNKNOWN_SIGNER
        assert _verdict(stranger.token(header={**header, "kid": KEY.key_id})) is KeyVerdict.WRONG


def test_a_header_that_must_be_understood_and_is_not_makes_the_token_worthless() -> None:
    assert _verdict(KEY.token(header={"crit": ["x"], "x": 1})) is KeyVerdict.WRONG


def test_a_key_of_one_algorithm_serves_no_other() -> None:
    one = _set(KEYS["RS256"])
    assert one.find(KEYS["RS256"].key_id, "RS256") is not None
    for algorithm in ("PS256", "ES256", "EdDSA", "HS256", "none"):
        assert one.find(KEYS["RS256"].key_id, algorithm) is None


@pytest.mark.parametrize(
    "type_,header,accepted",
    [
        ("at+jwt", {"typ": "at+jwt"}, True),
        ("at+jwt", {"typ": "application/AT+JWT"}, True),
        ("at+jwt", {"typ": "JWT"}, False),
        ("at+jwt", {"typ": None}, False),
        ("", {"typ": "whatever"}, True),
    ],
)
def test_a_token_made_for_something_else_is_refused_by_its_type(
    type_: str, header: dict[str, Any], accepted: bool
) -> None:
    verdict = _verdict(KEY.token(header=header), RULE._replace(type=type_))
    assert isinstance(verdict, Principal) == accepted


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    assert _verdict("x" * 1_000_000) is KeyVerdict.WRONG
    assert _verdict(KEY.token({"more": "x" * TOKEN_CHARS_MAX})) is KeyVerdict.WRONG


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_more_than_a_wrong_token(text: str) -> None:
    assert _verdict(text) is KeyVerdict.WRONG
    assert _verdict(f"{text}.{text}.{text}") is KeyVerdict.WRONG


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_no_claim_is_more_than_a_wrong_token_or_a_caller_who_may_nothing(value: Any) -> None:
    for name in ("sub", "scope", "exp", "aud", "iss", "nbf", "iat"):
        secret = TokenVerifier(RULE._replace(algorithms=("HS256",)), SigningKeys(secret=SECRET))
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 60, name: value}
        head = _unsigned({"alg": "HS256"}, claims).rpartition(".")[0]
        signature = base64.urlsafe_b64encode(jwt.get_algorithm_by_name("HS256").sign(head.encode(), SECRET))
        verdict = secret.verify(f"{head}.{signature.rstrip(b'=').decode()}", time.time())
        assert isinstance(verdict, KeyVerdict | Principal)
        if isinstance(verdict, Principal) and name != "scope":
            assert not verdict.permissions


def test_json_as_deep_as_it_fits_is_a_wrong_token() -> None:
    deep = base64.urlsafe_b64encode(b'{"a":' * 900 + b"1" + b"}" * 900).rstrip(b"=").decode()
    assert _verdict(f"{deep}.{deep}.") is KeyVerdict.WRONG
