"""Connection strings of Iggy, taken apart (pure)."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from bridge.errors import ConfigError

__all__ = ("IggyAddress", "parse_connection_string")

_NAME: Final = "IGGY_CONNECTION_STRING"
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
    """
    Where Iggy is and who we are there.

    Attributes:
        host: name or address; IPv6 without brackets.
        token: personal access token; then *username* and *password* are empty.
        tls_domain: name in the certificate; empty takes the host.
    """

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_domain: str = ""
    tls_ca_file: str | None = None
    tls_validate_certificate: bool = True
    nodelay: bool = True

    @property
    def server_address(self) -> str:
        """host:port as sockets want it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_connection_string(text: str) -> IggyAddress:
    """
    Take `iggy://user:password@host:port?tls=true` or `iggy://TOKEN@host:port` apart.

    Credentials are percent-decoded, so that they may hold `:`, `@`, `/` and `?`. Unlike the SDK, IPv6 in brackets is
    understood, the port may be left out (8090), and no fault ever shows a part of the string.

    Raises:
        ConfigError: with every fault found.
    """
    faults: list[str] = []
    try:
        parts = urlsplit(text)
        port = parts.port if parts.port is not None else _PORT_DEFAULT
    except ValueError:
        raise ConfigError((f"{_NAME}: not of the form iggy://user:password@host:port",)) from None
    if parts.scheme in _OTHER_SCHEMES:
        raise ConfigError((f"{_NAME}: only TCP is spoken: use iggy:// or iggy+tcp://",))
    if parts.scheme not in _SCHEMES:
        raise ConfigError((f"{_NAME}: must start with iggy:// or iggy+tcp://",))
    if parts.hostname is None or _HOST.fullmatch(parts.hostname) is None:
        faults.append(f"{_NAME}: the host is missing or malformed")
    if port == 0:
        faults.append(f"{_NAME}: the port must be 1..65535")
    if parts.path not in ("", "/") or parts.fragment:
        faults.append(
            f"{_NAME}: nothing may stand between host:port and the options (is a / or # in the password?)"
        )
    username, password, token = _credentials(parts, faults)
    flags, texts = _options(parts.query, faults)
    if faults:
        raise ConfigError(tuple(faults))
    return IggyAddress(
        host=parts.hostname or "",
        port=port,
        username=username,
        password=password,
        token=token,
        tls=flags.get("tls", False),
        tls_domain=texts.get("tls_domain", ""),
        tls_ca_file=texts.get("tls_ca_file"),
        tls_validate_certificate=flags.get("tls_validate_certificate", True),
        nodelay=flags.get("nodelay", True),
    )


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


def _options(query: str, faults: list[str]) -> tuple[dict[str, bool], dict[str, str]]:
    flags: dict[str, bool] = {}
    texts: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        faults.append(f"{_NAME}: the options must be name=value joined by &")
        return flags, texts
    for key, value in pairs:
        if key in flags or key in texts:
            faults.append(f"{_NAME}: option {key} stands there twice")
        elif key in _FLAGS:
            if value not in _BOOLEANS:
                faults.append(f"{_NAME}: option {key} must be true or false")
            flags[key] = _BOOLEANS.get(value, False)
        elif key in _TEXTS:
            if not value:
                faults.append(f"{_NAME}: option {key} is empty")
            texts[key] = value
        elif key in _OWNED:
            faults.append(f"{_NAME}: option {key} belongs to the bridge; see RECONNECT_* and HEALTH_CHECK_*")
        else:
            known = ", ".join((*_FLAGS, *_TEXTS))
            faults.append(f"{_NAME}: an option is not known; known are {known}")
    return flags, texts
