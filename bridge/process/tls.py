"""TLS of the main port (shell): its certificate and key, the authorities of clients and what these revoked, as in files now."""

import asyncio
import ssl
from typing import Final, NamedTuple, NoReturn

import structlog

from bridge.clock import Clock
from bridge.config import TlsConfig
from bridge.errors import ConfigError
from bridge.limits import TLS_FILE_BYTES_MAX
from bridge.process.files import read_regular
from bridge.telemetry.process_metrics import TlsMetrics

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# Of TLS 1.2 only what keeps old recordings secret and is not broken (RFC 9325, section 4.2); those of 1.3 all are.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_CRL_BEGINS: Final = b"-----BEGIN X509 CRL-----"
_WORDS: Final = {
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
    # `ssl` has no name for it.
    "": "there is no PEM in it, or a part is missing",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no PEM certificate or list in it",
    "EE_KEY_TOO_SMALL": "the key is too short",
    "CA_MD_TOO_WEAK": "it is signed with a digest that is broken",
}

_log = structlog.get_logger("bridge.serve")


class LoadedTls(NamedTuple):
    """What connections are accepted with.

    Attributes:
        not_after_s: Unix time at which the certificate ends.
        crl_next_update_s: Unix time at which the first of the lists of revoked certificates is of no use any more; None without.
    """

    context: ssl.SSLContext
    not_after_s: float
    crl_next_update_s: float | None


def load_tls(config: TlsConfig) -> LoadedTls:
    """Read the files.

    Always a context of its own: one that lives would keep every authority that it ever had.

    Raises:
        ConfigError: if a file cannot be read, or what is in it cannot be used; no fault shows what is in it.
    """
    if config.cert_file is None:
        raise ConfigError(("TLS_CERT_FILE: is not set",))
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 (megabytes that plain HTTP needs not)

    named = (
        ("TLS_CERT_FILE", config.cert_file),
        ("TLS_KEY_FILE", config.key_file),
        ("TLS_CLIENT_CA_FILE", config.client_ca_file),
        ("TLS_CLIENT_CRL_FILE", config.client_crl_file),
    )
    contents: dict[str, bytes] = {}
    faults = []
    for env, path in named:
        try:
            contents[env] = read_regular(path, TLS_FILE_BYTES_MAX)[0] if path is not None else b""
        except OSError as error:
            faults.append(f"{env}: the file cannot be read: {error.strerror}")
    if faults:
        raise ConfigError(tuple(faults))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.version_min]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    pair = "TLS_CERT_FILE" if config.key_file is None else "TLS_CERT_FILE / TLS_KEY_FILE"
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_refuse_passphrase)
        # The first one is the one that clients are shown.
        shown = load_pem_x509_certificates(contents["TLS_CERT_FILE"])[0]
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError((f"{pair}: {_in_words(error)}",)) from None
    if config.client_ca_file is not None:
        _believe(context, "TLS_CLIENT_CA_FILE", config.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if config.client_auth == "required" else ssl.CERT_OPTIONAL
    next_update_s = None
    if config.client_crl_file is not None:
        _refuse_revoked(context, config.client_crl_file)
        next_update_s = _next_update_s(contents["TLS_CLIENT_CRL_FILE"])
    return LoadedTls(context, shown.not_valid_after_utc.timestamp(), next_update_s)


def _believe(context: ssl.SSLContext, env: str, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError((f"{env}: {_in_words(error)}",)) from None


def _refuse_revoked(context: ssl.SSLContext, path: str) -> None:
    authorities = context.cert_store_stats()["x509"]
    _believe(context, "TLS_CLIENT_CRL_FILE", path)
    if context.cert_store_stats()["x509"] != authorities:
        raise ConfigError(("TLS_CLIENT_CRL_FILE: a certificate is in it, which would be an authority",))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _next_update_s(lists: bytes) -> float | None:
    from cryptography.x509 import load_pem_x509_crl  # noqa: PLC0415 (as above)

    try:
        found = [load_pem_x509_crl(_CRL_BEGINS + each) for each in lists.split(_CRL_BEGINS)[1:]]
    except ValueError as error:
        raise ConfigError((f"TLS_CLIENT_CRL_FILE: {error}",)) from None
    ends = [each.next_update_utc.timestamp() for each in found if each.next_update_utc is not None]
    return min(ends, default=None)


def _refuse_passphrase() -> NoReturn:
    # Else OpenSSL asks for it on the terminal, and the process waits.
    raise ValueError("the key has a passphrase; write it without one, in a file that only the bridge reads")


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").replace(" ", "_").upper()
        return _WORDS.get(reason, f"OpenSSL says {reason.lower()}")
    return str(error)


class PortTls:
    """The TLS that new connections of the port take; those that are open keep the one they have.

    Attributes:
        loaded: what is in force; None before `load`.
    """

    def __init__(self, config: TlsConfig, metrics: TlsMetrics, clock: Clock) -> None:
        self.loaded: LoadedTls | None = None
        self._config = config
        self._metrics = metrics
        self._clock = clock

    def context(self) -> ssl.SSLContext:
        """What the next connection is accepted with."""
        if self.loaded is None:
            raise RuntimeError("load comes first")
        return self.loaded.context

    async def load(self) -> None:
        """Read the files, and let new connections have what is in them.

        A certificate that has ended takes the place of none that has not: only at the start it is taken as it is, since who
        can do without it is served at all.

        Raises:
            ConfigError: as of `load_tls`; what was in force still is.
        """
        new = await asyncio.to_thread(load_tls, self._config)
        now_s = self._clock.wall_s()
        if new.not_after_s <= now_s:
            if self.loaded is not None and self.loaded.not_after_s > now_s:
                raise ConfigError(("TLS_CERT_FILE: the certificate has ended",))
            _log.error("tls_certificate_ended", advice="clients refuse it: renew TLS_CERT_FILE")
        self.loaded = new
        self._metrics.not_after_s.set(new.not_after_s)
        self._metrics.crl_next_update_s.set(new.crl_next_update_s)
