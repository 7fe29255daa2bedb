"""Connection strings of Iggy, taken apart (pure)."""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from bridge.errors import ConfigError
from bridge.limits import IGGY_NODES_MAX

_NAME: Final = "IGGY_CONNECTION_STRING"
_MALFORMED: Final = f"{_NAME}: not of the form iggy://user:password@host:port"
_SCHEMES: Final = ("iggy", "iggy+tcp")
_OTHER_SCHEMES: Final = ("iggy+quic", "iggy+http", "iggy+https", "iggy+ws", "iggy+wss", "http", "https")
_PORT_DEFAULT: Final = 8090
# The server's own bounds.
_USERNAME_BYTES: Final = range(3, 51)
_PASSWORD_BYTES: Final = range(3, 101)
_BOOLEANS: Final = {"true": True, "false": False}
_FLAGS: Final = ("tls", "tls_validate_certificate", "nodelay")
_TEXTS: Final = ("tls_domain", "tls_ca_file")
# Known to the SDK, but owned by the bridge: said in words rather than silently ignored.
_OWNED: Final = ("reconnection_retries", "reconnection_interval", "reestablish_after", "heartbeat_interval")
_HOST: Final = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IggyAddress:
    """Where Iggy is and who we are there.

    Attributes:
        server_addresses: host:port as sockets want it, of each node that is named; one at least.
        token: personal access token; then *username* and *password* are empty.
        tls_domain: name in the certificate; empty takes the host.
    """

    server_addresses: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_domain: str = ""
    tls_ca_file: str | None = None
    tls_validate_certificate: bool = True
    nodelay: bool = True


def parse_connection_string(text: str) -> IggyAddress:
    """Take `iggy://user:password@host:port?tls=true` or `iggy://TOKEN@host:port` apart.

    The nodes of a cluster stand behind each other, `host:port,host:port`; `IGGY_NODES_MAX` at most. Credentials are
    percent-decoded, so that they may hold `:`, `@`, `/` and `?`. Unlike the SDK, IPv6 in brackets is understood, the port
    may be left out (8090), and no fault ever shows a part of the string.

    Raises:
        ConfigError: with every fault found.
    """
    faults: list[str] = []
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ConfigError((_MALFORMED,)) from None
    if parts.scheme in _OTHER_SCHEMES:
        raise ConfigError((f"{_NAME}: only TCP is spoken: use iggy:// or iggy+tcp://",))
    if parts.scheme not in _SCHEMES:
        raise ConfigError((f"{_NAME}: must start with iggy:// or iggy+tcp://",))
    if parts.path not in ("", "/") or parts.fragment:
        faults.append(
            f"{_NAME}: nothing may stand between host:port and the options (is a / or # in the password?)"
        )
    addresses = _addresses(parts.netloc, faults)
    username, password, token = _credentials(parts, faults)
    options = _options(parts.query, faults)
    if faults:
        raise ConfigError(tuple(faults))
    return IggyAddress(
        server_addresses=addresses,
        username=username,
        password=password,
        token=token,
        **options,
    )


def _addresses(netloc: str, faults: list[str]) -> tuple[str, ...]:
    nodes = netloc.rpartition("@")[2].split(",")
    if len(nodes) > IGGY_NODES_MAX:
        faults.append(f"{_NAME}: at most {IGGY_NODES_MAX} nodes may be named")
        return ()
    addresses = [_address(node, faults) for node in nodes]
    return tuple(dict.fromkeys(address for address in addresses if address is not None))


def _address(node: str, faults: list[str]) -> str | None:
    try:
        # A node alone is a URL's network location as well.
        parts = urlsplit(f"//{node}")
        host, port = parts.hostname, parts.port
    except ValueError:
        faults.append(_MALFORMED)
        return None
    if host is None or _HOST.fullmatch(host) is None:
        faults.append(f"{_NAME}: the host is missing or malformed")
        return None
    if port == 0:
        faults.append(f"{_NAME}: the port must be 1..65535")
    port = _PORT_DEFAULT if port is None else port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(parts: SplitResult, faults: list[str]) -> tuple[str, str, str | None]:
    if not parts.username:
        faults.append(f"{_NAME}: user and password, or a personal access token, are missing before the @")
        return "", "", None
    try:
        username = unquote(parts.username, errors="strict")
        password = None if parts.password is None else unquote(parts.password, errors="strict")
    except UnicodeDecodeError:
        faults.append(f"{_NAME}: user or password is no UTF-8 after percent-decoding")
        return "", "", None
    if password is None:
        return "", "", username
    if len(username.encode()) not in _USERNAME_BYTES:
        faults.append(f"{_NAME}: the user must be 3..50 bytes")
    if len(password.encode()) not in _PASSWORD_BYTES:
        faults.append(f"{_NAME}: the password must be 3..100 bytes")
    return username, password, None


def _options(query: str, faults: list[str]) -> dict[str, Any]:
    """By the attribute of `IggyAddress` that each is called after."""
    options: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        faults.append(f"{_NAME}: the options must be name=value joined by &")
        return options
    for key, value in pairs:
        if key in options:
            faults.append(f"{_NAME}: option {key} stands there twice")
        elif key in _FLAGS:
            if value not in _BOOLEANS:
                faults.append(f"{_NAME}: option {key} must be true or false")
            options[key] = _BOOLEANS.get(value, False)
        elif key in _TEXTS:
            if not value:
                faults.append(f"{_NAME}: option {key} is empty")
            options[key] = value
        elif key in _OWNED:
            faults.append(f"{_NAME}: option {key} belongs to the bridge; see RECONNECT_* and HEALTH_CHECK_*")
        else:
            known = ", ".join((*_FLAGS, *_TEXTS))
            faults.append(f"{_NAME}: an option is not known; known are {known}")
    return options
