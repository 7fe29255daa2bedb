"""Invariant: a configuration is refused with its list of faults or keeps every bound, and no secret is ever shown."""

from typing import Final

from bridge.config import SETTINGS, Config, Inputs, SecretFile, parse
from bridge.errors import ConfigError
from bridge.iggy.address import parse_connection_string

__all__ = ("check",)

#: Stands in every secret that is given, so that finding it anywhere is a leak.
MARK: Final = "zq7Kx9vSecret"
IN_ENVIRONMENT, IN_FLAGS, IN_SECRET_FILE = range(3)
SOURCES: Final = 3
PORT_MAX: Final = 65535


def inputs(data: bytes) -> Inputs:
    """
    Input made of lines, then a zero byte and TOML.

    A line is one setting: its first byte chooses which, its second where it comes from, the rest is its value.
    """
    lines, zero, toml = data.partition(b"\0")
    flags: dict[str, str] = {}
    environ: dict[str, str] = {}
    files: dict[str, str] = {}
    for line in lines.split(b"\n"):
        if not line[1:]:
            continue
        setting = SETTINGS[line[0] % len(SETTINGS)]
        text = line[2:].decode(errors="surrogateescape")
        if setting.spec.secret:
            text = f"iggy://u:{MARK}{text}" if "CONNECTION" in setting.env else f"{MARK}{text}"
        source = line[1] % SOURCES
        if source == IN_SECRET_FILE and setting.spec.secret:
            path = f"/run/{setting.env}"
            environ[f"{setting.env}_FILE"] = path
            files[path] = text
        else:
            (flags if source == IN_FLAGS else environ)[setting.env] = text

    def read_secret(path: str) -> SecretFile:
        if path not in files:
            raise FileNotFoundError(2, "No such file")
        return SecretFile(files[path])

    toml_text = toml.decode(errors="replace") if zero else None
    return Inputs(flags=flags, environ=environ, toml_text=toml_text, read_secret=read_secret)


def check_bounds(config: Config) -> None:
    for setting in SETTINGS:
        value = getattr(getattr(config, setting.section), setting.field)
        spec = setting.spec
        if spec.choices and value not in spec.choices:
            raise AssertionError(f"{setting.env}: accepted, yet none of its choices")
        if value is None or isinstance(value, str | bool | tuple):
            continue
        low = spec.minimum is not None and not value >= spec.minimum
        high = spec.maximum is not None and not value <= spec.maximum
        if low or high:
            raise AssertionError(f"{setting.env}: accepted, yet out of its bounds")


def check_connection_string(text: str) -> None:
    try:
        address = parse_connection_string(text)
    except ConfigError as refused:
        if MARK in str(refused):
            raise AssertionError("a fault shows a part of the connection string") from refused
        return
    if MARK in repr(address):
        raise AssertionError("the address shows its password")
    places = [place.rpartition(":") for place in address.server_addresses]
    if not places or not all(host and 1 <= int(port) <= PORT_MAX for host, _, port in places):
        raise AssertionError("accepted, yet nowhere to connect to")


def check(data: bytes) -> None:
    # Only printable ASCII gets past `config` as a secret.
    if data.isascii() and data.decode().isprintable():
        check_connection_string(f"iggy://name:{MARK}{data.decode()}")
    try:
        effective = parse(inputs(data))
    except ConfigError as refused:
        if not refused.faults or not all(refused.faults):
            raise AssertionError("refused without a word") from refused
        if MARK in str(refused):
            raise AssertionError("a fault shows a secret") from refused
        return
    check_bounds(effective.config)
    shown = "\n".join((*effective.warnings, repr(effective.config), *(str(row) for row in effective.rows())))
    if MARK in shown:
        raise AssertionError("the effective configuration shows a secret")
    if {setting.env for setting in SETTINGS} != set(effective.sources):
        raise AssertionError("a setting has no source")
