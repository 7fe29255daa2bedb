"""What settings must be together (pure)."""

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from bridge.config.sections import Config

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@,*]+", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:%_-]*[A-Za-z0-9])?|::[A-Fa-f0-9.:]*", re.ASCII)
_ALLOWED_HOST = re.compile(
    r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+",
    re.ASCII,
)
_BYPASS_PATH = re.compile(r"/[^\s?#]*", re.ASCII)
# Half of what fits a 128 bit key in base64; below this a key can be guessed.
_KEY_CHARS_ADVISED = 16


class ConfigFault(NamedTuple):
    """What is wrong.

    Attributes:
        envs: the settings it concerns; it is told only when each of them could be read.
        text: what is allowed and what to do, without the value of a secret.
    """

    envs: tuple[str, ...]
    text: str


Rule = Callable[[Config], Iterable[ConfigFault]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on *host*."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_can_be_listened_on(config: Config) -> Iterator[ConfigFault]:
    if not _HOST.fullmatch(config.http.host):
        yield ConfigFault(("HOST",), "must be an address or a host name without brackets or port")


def anonymous_is_asked_for(config: Config) -> Iterator[ConfigFault]:
    http = config.http
    if not _HOST.fullmatch(http.host):
        return
    if not config.asks_for_credentials and not http.allow_anonymous and not is_loopback(http.host):
        yield ConfigFault(
            ("HOST", "API_KEY", "ALLOW_ANONYMOUS"),
            "without an API key everybody who reaches this address may read and write: "
            "set API_KEY, API_KEY_FILE, KEYS_FILE or JWT_ISSUER, or ALLOW_ANONYMOUS=true if that is meant",
        )


def delays_are_ordered(config: Config) -> Iterator[ConfigFault]:
    iggy = config.iggy
    if iggy.reconnect_base_delay_ms > iggy.reconnect_delay_ms_max:
        yield ConfigFault(
            ("RECONNECT_BASE_DELAY_MS", "RECONNECT_MAX_DELAY_MS"),
            f"the first delay ({iggy.reconnect_base_delay_ms}) must not be longer than the longest "
            f"({iggy.reconnect_delay_ms_max})",
        )


def drain_fits_the_grace(config: Config) -> Iterator[ConfigFault]:
    if config.http.drain_delay_s >= config.http.shutdown_grace_s:
        yield ConfigFault(
            ("DRAIN_DELAY_SECS", "SHUTDOWN_GRACE_SECS"),
            "the delay must be shorter than the grace, which is the time for the whole drain",
        )


def proxies_are_networks(config: Config) -> Iterator[ConfigFault]:
    for network in config.http.trusted_proxies:
        try:
            ip_network(network)
        except ValueError:
            yield ConfigFault(
                ("TRUSTED_PROXIES",),
                f"{network[:64]!r} is no network; write 10.0.0.0/8 with no bits set after the prefix, "
                "or one address",
            )


def bypass_paths_are_paths(config: Config) -> Iterator[ConfigFault]:
    for path in config.http.auth_bypass_paths:
        if not _BYPASS_PATH.fullmatch(path):
            yield ConfigFault(
                ("AUTH_BYPASS_PATHS",), f"{path[:64]!r} must begin with / and have neither query nor blanks"
            )


def allowed_hosts_are_hosts(config: Config) -> Iterator[ConfigFault]:
    for host in config.http.allowed_hosts:
        if not _ALLOWED_HOST.fullmatch(host):
            yield ConfigFault(
                ("ALLOWED_HOSTS",),
                f"{host[:64]!r} is no name; write bridge.example.com, *.example.com or an address, without "
                "scheme, port or path, or * for any",
            )


def origins_are_origins(config: Config) -> Iterator[ConfigFault]:
    origins = config.http.cors_allowed_origins
    if "*" in origins:
        if len(origins) > 1:
            yield ConfigFault(("CORS_ALLOWED_ORIGINS",), "* already allows every origin; list it alone")
        return
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            yield ConfigFault(
                ("CORS_ALLOWED_ORIGINS",),
                f"{origin[:64]!r} is no origin; write https://app.example.com, in lower case, without a path",
            )


def secrets_are_hard_to_guess(config: Config) -> Iterator[ConfigFault]:
    for env, secret in (("CURSOR_KEY", config.http.cursor_key), ("KEYS_PEPPER", config.http.keys_pepper)):
        if secret is not None and len(secret) < _KEY_CHARS_ADVISED:
            yield ConfigFault((env,), f"must have {_KEY_CHARS_ADVISED} characters or more")


def ports_differ(config: Config) -> Iterator[ConfigFault]:
    if config.observe.metrics_port and config.observe.metrics_port == config.http.port:
        yield ConfigFault(
            ("METRICS_PORT", "PORT"), "the metrics need a port of their own; unset METRICS_PORT to share"
        )


def one_process_writes_the_embedded_log(config: Config) -> Iterator[ConfigFault]:
    if config.http.workers > 1 and config.iggy.connection_string is None:
        yield ConfigFault(
            ("WORKERS", "IGGY_CONNECTION_STRING"),
            f"the embedded log has one writing process, so {config.http.workers} workers cannot share it: "
            "set IGGY_CONNECTION_STRING to use Iggy, or WORKERS=1 (or auto)",
        )


def the_ledger_has_a_stream_of_its_own(config: Config) -> Iterator[ConfigFault]:
    if config.groups.stream.lower() == config.log.stream.lower():
        yield ConfigFault(
            ("GROUPS_STREAM", "IGGY_STREAM"),
            "must differ: nobody reads or writes the stream of the ledger over HTTP",
        )


def tls_has_a_certificate(config: Config) -> Iterator[ConfigFault]:
    tls = config.tls
    for env, path in (("TLS_KEY_FILE", tls.key_file), ("TLS_CLIENT_CA_FILE", tls.client_ca_file)):
        if path is not None and tls.cert_file is None:
            yield ConfigFault(
                (env, "TLS_CERT_FILE"), "without TLS_CERT_FILE the port speaks no TLS: set both"
            )
    if tls.client_crl_file is not None and tls.client_ca_file is None:
        yield ConfigFault(
            ("TLS_CLIENT_CRL_FILE", "TLS_CLIENT_CA_FILE"),
            "without TLS_CLIENT_CA_FILE no client is asked: set both",
        )


RULES: tuple[Rule, ...] = (
    host_can_be_listened_on,
    anonymous_is_asked_for,
    delays_are_ordered,
    drain_fits_the_grace,
    proxies_are_networks,
    bypass_paths_are_paths,
    allowed_hosts_are_hosts,
    origins_are_origins,
    secrets_are_hard_to_guess,
    ports_differ,
    one_process_writes_the_embedded_log,
    the_ledger_has_a_stream_of_its_own,
    tls_has_a_certificate,
)


def advice(config: Config) -> Iterator[str]:
    """What works and is probably not meant, one sentence each."""
    key = config.http.api_key
    if key is not None and len(key) < _KEY_CHARS_ADVISED:
        yield f"API_KEY has fewer than {_KEY_CHARS_ADVISED} characters and can be guessed"
    if config.iggy.connection_string is None and config.log.durability != "persisted":
        yield "DURABILITY is for Iggy; the embedded log always syncs"
    if config.http.keys_pepper is not None and config.http.keys_file is None:
        yield "KEYS_PEPPER is of no use without KEYS_FILE"
    if (
        not config.asks_for_credentials
        and not is_loopback(config.http.host)
        and not config.http.allowed_hosts
    ):
        yield (
            "without API_KEY only requests to an address or to localhost are served: name in ALLOWED_HOSTS what else "
            "callers use, such as the name of a service"
        )
    if config.http.cors_allowed_origins == ("*",) and not config.asks_for_credentials:
        yield "CORS_ALLOWED_ORIGINS=* without an API key lets every web page use this bridge"
