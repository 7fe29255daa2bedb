"""Claims of `process.tls`: what cannot serve is refused with a reason, and never takes the place of what can."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_crl

from bridge.clock import SystemClock
from bridge.config import Config, TlsConfig
from bridge.errors import ConfigError
from bridge.process.rules import tls_files_can_be_used
from bridge.process.tls import PortTls, load_tls
from bridge.telemetry.process_metrics import TlsMetrics
from tests.support.certificates import Authority
from tests.support.figures import figure

AUTHORITY = Authority()


def config_of(tmp_path: Path, **changes: str | None) -> TlsConfig:
    """Of files that serve, where *changes* do not name others."""
    certificate, key = AUTHORITY.issue("bridge", dns=("localhost",)).write(tmp_path)
    return TlsConfig(**{"cert_file": str(certificate), "key_file": str(key), **changes})  # type: ignore[arg-type]


def refused(config: TlsConfig) -> str:
    with pytest.raises(ConfigError) as error:
        load_tls(config)
    return error.value.detail


def test_a_pair_is_loaded_with_the_time_at_which_its_certificate_ends(tmp_path: Path) -> None:
    pair = AUTHORITY.issue("bridge")
    certificate, key = pair.write(tmp_path)
    loaded = load_tls(TlsConfig(cert_file=str(certificate), key_file=str(key)))
    assert loaded.not_after_s == pair.not_after_s
    assert loaded.context.verify_mode is ssl.CERT_NONE
    assert loaded.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_certificate_key_and_chain_may_stand_in_one_file(tmp_path: Path) -> None:
    pair = AUTHORITY.issue("bridge")
    path = tmp_path / "all.pem"
    path.write_bytes(pair.key + pair.certificate + AUTHORITY.pem)
    assert load_tls(TlsConfig(cert_file=str(path))).not_after_s == pair.not_after_s


def test_one_that_signed_itself_serves(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("key", "crt")]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        names[0],
    ]
    subprocess.run([*command, "-out", names[1], "-days", "2"], check=True, capture_output=True)
    assert load_tls(TlsConfig(cert_file=names[1], key_file=names[0])).not_after_s > 0


def test_an_ended_certificate_is_read_like_any_other(tmp_path: Path) -> None:
    pair = AUTHORITY.issue("bridge", ends_in_s=-60)
    certificate, key = pair.write(tmp_path)
    assert load_tls(TlsConfig(cert_file=str(certificate), key_file=str(key))).not_after_s == pair.not_after_s


@pytest.mark.parametrize("auth, mode", [("required", ssl.CERT_REQUIRED), ("optional", ssl.CERT_OPTIONAL)])
def test_clients_need_a_certificate_or_may_have_one(tmp_path: Path, auth: str, mode: ssl.VerifyMode) -> None:
    authority = AUTHORITY.write(tmp_path)
    config = config_of(tmp_path, client_ca_file=str(authority), client_auth=auth, version_min="1.3")
    context = load_tls(config).context
    assert context.verify_mode is mode
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_what_cannot_be_used_is_told_by_its_setting_and_in_words(tmp_path: Path) -> None:
    good = config_of(tmp_path)
    other = Authority().issue("other").write(tmp_path, "other")
    locked = AUTHORITY.issue("locked", passphrase=b"secret").write(tmp_path, "locked")
    garbage = tmp_path / "garbage"
    garbage.write_text("no PEM at all")
    pair = "TLS_CERT_FILE / TLS_KEY_FILE"
    large = tmp_path / "large"
    large.write_bytes(bytes(1024 * 1024 + 1))
    gone = TlsConfig(cert_file=str(tmp_path / "no"), key_file=str(tmp_path), client_ca_file=str(large))
    assert refused(gone).splitlines() == [
        "TLS_CERT_FILE: the file cannot be read: No such file or directory",
        "TLS_KEY_FILE: the file cannot be read: Is a directory",
        "TLS_CLIENT_CA_FILE: the file cannot be read: larger than 1048576 bytes",
    ]
    pipe, writing = os.pipe()
    os.close(writing)
    piped = TlsConfig(cert_file=good.cert_file, key_file=f"/dev/fd/{pipe}", client_ca_file="/dev/zero")
    assert refused(piped).splitlines() == [
        "TLS_KEY_FILE: the file cannot be read: it is no regular file, which can be read again",
        "TLS_CLIENT_CA_FILE: the file cannot be read: it is no regular file, which can be read again",
    ]
    os.close(pipe)
    assert refused(TlsConfig()) == "TLS_CERT_FILE: is not set"
    mixed = TlsConfig(cert_file=good.cert_file, key_file=str(other[1]))
    assert refused(mixed) == f"{pair}: the key is not that of the certificate"
    assert (
        refused(TlsConfig(cert_file=str(garbage)))
        == "TLS_CERT_FILE: there is no PEM in it, or a part is missing"
    )
    assert "passphrase" in refused(TlsConfig(cert_file=str(locked[0]), key_file=str(locked[1])))
    no_authority = TlsConfig(cert_file=good.cert_file, key_file=good.key_file, client_ca_file=str(garbage))
    assert refused(no_authority) == "TLS_CLIENT_CA_FILE: there is no PEM certificate or list in it"


def test_a_list_of_revoked_certificates_is_one_and_brings_no_authority(tmp_path: Path) -> None:
    path = tmp_path / "crl.pem"
    config = config_of(tmp_path, client_ca_file=str(AUTHORITY.write(tmp_path)), client_crl_file=str(path))
    path.write_bytes(AUTHORITY.revoke())
    assert load_tls(config).context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    first = AUTHORITY.revoke(ends_in_s=100)
    path.write_bytes(AUTHORITY.revoke() + first)
    ends = load_pem_x509_crl(first).next_update_utc
    assert ends is not None
    assert load_tls(config).crl_next_update_s == ends.timestamp()
    path.write_bytes(AUTHORITY.revoke() + Authority().pem)
    assert refused(config) == "TLS_CLIENT_CRL_FILE: a certificate is in it, which would be an authority"
    path.write_text("no PEM at all")
    assert refused(config) == "TLS_CLIENT_CRL_FILE: there is no PEM certificate or list in it"
    path.unlink()
    assert refused(config) == "TLS_CLIENT_CRL_FILE: the file cannot be read: No such file or directory"


def test_the_configuration_tells_it_with_its_other_faults(tmp_path: Path) -> None:
    assert list(tls_files_can_be_used(Config())) == []
    assert list(tls_files_can_be_used(Config(tls=config_of(tmp_path)))) == []
    missing = Config(tls=TlsConfig(cert_file=str(tmp_path / "no")))
    (fault,) = tls_files_can_be_used(missing)
    assert fault.envs == ("TLS_CERT_FILE",)


async def test_what_is_broken_or_has_ended_takes_the_place_of_nothing_that_serves(tmp_path: Path) -> None:
    config, metrics = config_of(tmp_path), TlsMetrics()
    tls = PortTls(config, metrics, SystemClock())
    with pytest.raises(RuntimeError):
        tls.context()
    await tls.load()
    context = tls.context()
    AUTHORITY.issue("ended", ends_in_s=-60).write(tmp_path)
    with pytest.raises(ConfigError, match="has ended"):
        await tls.load()
    (tmp_path / "tls.crt").write_text("half of a")
    with pytest.raises(ConfigError):
        await tls.load()
    assert tls.context() is context
    renewed = AUTHORITY.issue("renewed")
    renewed.write(tmp_path)
    await tls.load()
    assert tls.context() is not context
    assert figure(metrics, "bridge_tls_certificate_not_after_seconds") == renewed.not_after_s


async def test_at_the_start_one_that_has_ended_is_served_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    AUTHORITY.issue("ended", ends_in_s=-60).write(tmp_path)
    config = TlsConfig(cert_file=str(tmp_path / "tls.crt"), key_file=str(tmp_path / "tls.key"))
    await PortTls(config, TlsMetrics(), SystemClock()).load()
    assert "tls_certificate_ended" in capsys.readouterr().out
