"""A real bridge that takes tokens of a provider."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import user_event
from tests.support.provider import AUDIENCE, ISSUER, Provider, SigningKey

KEY = SigningKey("one")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(KEY) as serving:
        yield serving


def _settings(provider: Provider) -> dict[str, str]:
    return {
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "JWT_JWKS_URL": provider.url,
        "JWT_ALGORITHMS": "ES256",
        "RATE_LIMIT_RPS": "0",
    }


def _get(port: int, token: str, path: str = "/messages?cursor=first") -> int:
    return get(port, path, {"Authorization": f"Bearer {token}"})[0]


def test_a_token_opens_what_it_names_and_nothing_is_open_without_one(
    tmp_path: Path, provider: Provider
) -> None:
    with BridgeProcess(tmp_path, _settings(provider)) as bridge:
        port = bridge.started()
        token = KEY.token({"scope": "role:editor"})
        with connected(port) as connection:
            body = json.dumps({"event": user_event(), "partition_key": "k"})
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            connection.request("POST", "/messages", body, headers)
            assert connection.getresponse().status == 201
        assert _get(port, token) == 200
        status, problem = get(port, "/messages?cursor=first")
        assert status == 401
        assert get(port, "/health")[0] == 200
        for worthless in (KEY.token({"aud": "other"}), KEY.token(lifetime_s=-3600), "x.y.z", token[:-2]):
            assert _get(port, worthless) == 401
        assert _get(port, token) == 200
        assert get(port, f"/messages?cursor=first&api_key={token}")[0] in {401, 429}
        bridge.signal()
        assert bridge.ended() == 0
        assert token not in json.dumps(bridge.lines)
        assert json.loads(problem)["error"] == "unauthorized"


def test_a_new_key_of_the_provider_is_learned_with_the_first_token_under_it(
    tmp_path: Path, provider: Provider
) -> None:
    other = SigningKey("two")
    with BridgeProcess(tmp_path, _settings(provider)) as bridge:
        port = bridge.started()
        # The first unknown signer is asked about; those after it are not, for a while.
        assert _get(port, KEY.token()) == 200
        asked = provider.asked
        for _ in range(20):
            assert _get(port, other.token()) in {401, 429}
        assert provider.asked <= asked + 1


def test_while_the_provider_is_away_tokens_wait_and_keys_of_before_hold(
    tmp_path: Path, provider: Provider
) -> None:
    provider.status = 503
    with BridgeProcess(tmp_path, {**_settings(provider), "API_KEY": "a key of sixteen"}) as bridge:
        port = bridge.started()
        status, body = get(port, "/messages?cursor=first", {"Authorization": f"Bearer {KEY.token()}"})
        assert status == 503
        assert json.loads(body)["error"] == "signing_keys_unavailable"
        assert json.loads(body)["retryable"]
        assert provider.url not in body.decode()
        assert get(port, "/messages?cursor=first", {"X-API-Key": "a key of sixteen"})[0] == 200
        assert get(port, "/health")[0] == 200


@pytest.mark.parametrize(
    "settings,named",
    [
        ({"JWT_ISSUER": ISSUER, "JWT_JWKS_URL": "https://a.example/k"}, "JWT_AUDIENCE"),
        ({"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a"}, "JWT_JWKS_URL"),
        ({"JWT_AUDIENCE": "a"}, "JWT_ISSUER"),
        ({"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_JWKS_URL": "http://a.example/k"}, "https://"),
        ({"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_JWKS_URL": "https://["}, "https://"),
        (
            {
                "JWT_ISSUER": ISSUER,
                "JWT_AUDIENCE": "a",
                "JWT_JWKS_URL": "https://a.example/k",
                "JWT_ALGORITHMS": "none",
            },
            "JWT_ALGORITHMS",
        ),
        (
            {
                "JWT_ISSUER": ISSUER,
                "JWT_AUDIENCE": "a",
                "JWT_JWKS_URL": "https://a.example/k",
                "JWT_ALGORITHMS": "RS256,HS256",
            },
            "JWT_ALGORITHMS",
        ),
        (
            {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_SECRET": "s" * 32, "JWT_ALGORITHMS": "RS256"},
            "JWT_ALGORITHMS",
        ),
        (
            {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_SECRET": "short", "JWT_ALGORITHMS": "HS256"},
            "JWT_SECRET",
        ),
    ],
)
def test_a_half_configured_issuer_is_78_and_says_what_lacks(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    with BridgeProcess(tmp_path, settings) as bridge:
        assert bridge.ended() == 78
        assert named in json.dumps(bridge.lines)


def test_without_tokens_their_libraries_are_not_loaded(tmp_path: Path) -> None:
    code = "import sys, atexit; atexit.register(lambda: print('loaded', 'jwt' in sys.modules, 'cryptography' in sys.modules, flush=True)); from bridge.__main__ import main; main()"
    with BridgeProcess(tmp_path, code=code) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
        assert [line["text"] for line in bridge.lines if "text" in line] == ["loaded False False\n"]
