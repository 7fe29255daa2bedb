"""An identity provider: keys, tokens, and its JWK set over HTTP on loopback."""

import json
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com/"
AUDIENCE = "bridge"

_MADE: dict[str, Callable[[], Any]] = {
    "RS256": lambda: generate_rsa(65537, 2048),
    "ES256": lambda: generate_private_key(SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate,
}
_AS_JWK: dict[str, Callable[..., Any]] = {
    "RS256": RSAAlgorithm.to_jwk,
    "ES256": ECAlgorithm.to_jwk,
    "EdDSA": OKPAlgorithm.to_jwk,
}


class SigningKey:
    """One private key of the provider."""

    def __init__(self, key_id: str, algorithm: str = "ES256") -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self.private = _MADE[algorithm]()

    def jwk(self) -> dict[str, Any]:
        """Its public half."""
        described = _AS_JWK[self.algorithm](self.private.public_key(), as_dict=True)
        return {**described, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        lifetime_s: float = 300,
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """A token of somebody who may do what *claims* say; a claim or header field of None is left out."""
        now_s = time.time()
        given = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now_s,
            "exp": now_s + lifetime_s,
            "scope": "produce consume",
            **(claims or {}),
        }
        return jwt.encode(
            {name: value for name, value in given.items() if value is not None},
            self.private,
            algorithm=self.algorithm,
            headers={"kid": self.key_id, **(header or {})},
        )


class Provider(ThreadingHTTPServer):
    """
    Serves a JWK set.

    Attributes:
        body: what it answers.
        status: with which status.
        location: where it sends on; "" for nowhere.
        asked: how often it was asked.
        open: cleared, it keeps whoever asks waiting.
    """

    daemon_threads = True

    def __init__(self, *keys: SigningKey) -> None:
        self.publish(*keys)
        self.status = 200
        self.location = ""
        self.asked = 0
        self.open = Event()
        self.open.set()
        super().__init__(("127.0.0.1", 0), _Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/keys"

    def publish(self, *keys: SigningKey) -> None:
        self.body = json.dumps({"keys": [key.jwk() for key in keys]}).encode()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Answering(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked += 1
        self.server.open.wait(30)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        pass
