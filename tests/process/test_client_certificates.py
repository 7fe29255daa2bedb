"""A real bridge whose callers show certificates in the place of keys."""

import json
import signal
import ssl
from http.client import HTTPSConnection
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, run_bridge
from tests.support.certificates import Authority

AUTHORITY = Authority()


def _ask(port: int, context: ssl.SSLContext, method: str, path: str, body: object = None) -> int:
    connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_certificate_may_what_its_entry_says_and_one_without_an_entry_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    for name, shown_name, role in (
        ("billing", "cn:billing", "viewer"),
        ("ops", "dns:ops.internal", "admin"),
    ):
        added = run_bridge(
            "keys", "add", name, "--certificate", shown_name, "--role", role, "--file", str(keys)
        )
        assert added.returncode == 0, added.stderr
        assert added.stdout == ""
        assert "by its certificate" in added.stderr
    rotated = run_bridge("keys", "rotate", "billing", "--file", str(keys))
    assert rotated.returncode == 1
    assert "renewed where it was made" in rotated.stderr
    certificate, key = AUTHORITY.issue("bridge", dns=("localhost",)).write(tmp_path)
    settings = {
        "TLS_CERT_FILE": str(certificate),
        "TLS_KEY_FILE": str(key),
        "TLS_CLIENT_CA_FILE": str(AUTHORITY.write(tmp_path)),
        "TLS_CLIENT_AUTH": "optional",
        "KEYS_FILE": str(keys),
    }
    shown = {
        name: AUTHORITY.client_context(AUTHORITY.issue(name, dns=dns).write(tmp_path, name))
        for name, dns in (("billing", ()), ("someone", ("ops.internal",)), ("stranger", ()))
    }
    with BridgeProcess(tmp_path / "data", settings) as bridge:
        port = bridge.started()
        assert _ask(port, shown["billing"], "GET", "/messages?cursor=first") == 200
        assert _ask(port, shown["billing"], "POST", "/streams", {"name": "more"}) == 403
        assert _ask(port, shown["someone"], "POST", "/streams", {"name": "more"}) == 201
        assert _ask(port, shown["stranger"], "GET", "/messages?cursor=first") == 401
        assert _ask(port, AUTHORITY.client_context(None), "GET", "/messages?cursor=first") == 401
        revoked = run_bridge("keys", "revoke", "billing", "--file", str(keys))
        assert revoked.returncode == 0, revoked.stderr
        bridge.until("reloaded")
        assert _ask(port, shown["billing"], "GET", "/messages?cursor=first") == 401
        bridge.signal()
        assert bridge.ended() == 0


def test_a_certificate_that_its_authority_has_revoked_is_refused_at_the_handshake(tmp_path: Path) -> None:
    certificate, key = AUTHORITY.issue("bridge", dns=("localhost",)).write(tmp_path)
    lost, kept = AUTHORITY.issue("lost"), AUTHORITY.issue("kept")
    of_lost, of_kept = (AUTHORITY.client_context(each.write(tmp_path, "client")) for each in (lost, kept))
    crl = tmp_path / "crl.pem"
    crl.write_bytes(AUTHORITY.revoke())
    settings = {
        "TLS_CERT_FILE": str(certificate),
        "TLS_KEY_FILE": str(key),
        "TLS_CLIENT_CA_FILE": str(AUTHORITY.write(tmp_path)),
        "TLS_CLIENT_CRL_FILE": str(crl),
    }

    def is_let_in(context: ssl.SSLContext) -> bool:
        try:
            return _ask(port, context, "GET", "/messages?cursor=first") == 200
        except (ssl.SSLError, ConnectionError):
            return False

    with BridgeProcess(tmp_path / "data", settings) as bridge:
        port = bridge.started()
        assert [is_let_in(of_lost), is_let_in(of_kept)] == [True, True]
        crl.write_bytes(AUTHORITY.revoke(lost))
        bridge.signal(signal.SIGHUP)
        bridge.until("reloaded")
        assert [is_let_in(of_lost), is_let_in(of_kept)] == [False, True]
        # One whose time is over says of nobody that he is not revoked.
        crl.write_bytes(AUTHORITY.revoke(lost, ends_in_s=-60))
        bridge.signal(signal.SIGHUP)
        bridge.until("reloaded")
        assert [is_let_in(of_lost), is_let_in(of_kept)] == [False, False]
        bridge.signal()
        assert bridge.ended() == 0
