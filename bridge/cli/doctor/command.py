"""`bridge doctor` (wiring): what is not as it should be, and what to do."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.tls import AS_USUAL, TlsFiles
from bridge.cli.doctor.findings import Finding, Level, durability_of
from bridge.cli.health import own_url
from bridge.cli.remote.calling import (
    CaFileOption,
    CertKeyOption,
    CertOption,
    KeyFileOption,
    OutputOption,
    UrlOption,
    local,
)
from bridge.cli.remote.rendering import Output, OutputFormat
from bridge.cli.settings import ConfigPath, read_settings

if TYPE_CHECKING:
    from bridge.config import Config

_PORT_MAX: Final = 65_535
_NOWHERE: Final = "http://127.0.0.1"
_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def add_doctor(app: typer.Typer) -> None:
    app.command("doctor")(local(_doctor))


def _doctor(
    *,
    config_path: ConfigPath = None,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    ca_file: CaFileOption = None,
    cert: CertOption = None,
    cert_key: CertKeyOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Look at what a bridge needs, and say what is wrong and what to do: exit 1 if something is.

    Without --url: the settings of this environment, this machine, and the bridge that serves here, if one does. With --url:
    that bridge, as it looks from here.
    """
    out = Output(output)
    tls = TlsFiles(ca_file, cert, cert_key)
    found = asyncio.run(_shown(out, _found(url, key_file, tls, config_path)))
    if output is OutputFormat.JSON:
        out.json([each._asdict() for each in found])
    counts = {level: sum(each.level is level for each in found) for level in Level}
    if counts[Level.FAIL]:
        raise CommandFailed(f"{counts[Level.FAIL]} of {len(found)} checks failed.", ExitCode.FAILED)
    if output is OutputFormat.TABLE:
        warned = f", {counts[Level.WARN]} to be looked at" if counts[Level.WARN] else ""
        out.note(f"{len(found)} checks, none failed{warned}.")


async def _shown(out: Output, findings: AsyncIterator[Finding]) -> list[Finding]:
    """All of them, each shown as soon as it is known."""
    found: list[Finding] = []
    async for finding in findings:
        found.append(finding)
        if out.form is OutputFormat.NDJSON:
            out.json_line(finding._asdict())
        elif out.form is OutputFormat.TABLE:
            out.styled(
                (f"{finding.level:<4}", _STYLES[finding.level]), f"  {finding.check:<13} {finding.found}"
            )
            if finding.cure:
                out.text(f"{'':<20}{finding.cure}")
    return found


async def _found(
    url: str | None, key_file: str | None, tls: TlsFiles, config_path: str | None
) -> AsyncIterator[Finding]:
    from bridge.cli.client.bridge_client import BridgeClient  # noqa: PLC0415
    from bridge.cli.client.target import target_of  # noqa: PLC0415
    from bridge.cli.doctor.serving_bridge import answers, serving  # noqa: PLC0415 (the client takes half a second)

    config = None
    if url is None:
        findings, config = _settings(config_path)
        for finding in findings:
            yield finding
    asked = url or _own_url()
    if url is None and tls.or_of(os.environ) == AS_USUAL:
        tls = _own_tls()
    async with BridgeClient(target_of(asked or _NOWHERE, key_file, os.environ, tls)) as client:
        health = await answers(client) if asked else None
        if health is not None:
            async for finding in serving(client, health):
                yield finding
        elif url is not None:
            told = f"No bridge answers at {client.target.url}."
            yield Finding("bridge", Level.FAIL, told, "Start it (`bridge serve`), or open the way to it.")
    if config is not None:
        for finding in _machine(config, serves=health is not None):
            yield finding


def _own_url() -> str:
    """Where the bridge of this environment would listen; nothing where nobody knows, as with a port of 0."""
    port = os.environ.get("PORT", "").strip() or "8000"
    return own_url(os.environ) if port.isdecimal() and 0 < int(port) <= _PORT_MAX else ""


def _own_tls() -> TlsFiles:
    """How the bridge of this environment is believed: by its very certificate, where that can be read."""
    path = os.environ.get("TLS_CERT_FILE", "").strip()
    return TlsFiles(ca=path, is_own=True) if path and os.access(path, os.R_OK) else AS_USUAL


def _settings(config_path: str | None) -> tuple[list[Finding], "Config | None"]:
    """What is said of the settings, and these, where they can be used."""
    from bridge.errors import ConfigError  # noqa: PLC0415

    try:
        effective = read_settings({}, config_path)
    except ConfigError as error:
        cure = "`bridge serve --help` lists every setting."
        return [Finding("configuration", Level.FAIL, fault, cure) for fault in error.faults], None
    if effective.warnings:
        cure = "docs/configuration.md"
        found = [Finding("configuration", Level.WARN, warning, cure) for warning in effective.warnings]
    else:
        found = [Finding("configuration", Level.OK, "Every setting can be used.")]
    return found, effective.config


def _machine(config: "Config", *, serves: bool) -> Iterable[Finding]:
    from bridge.cli.doctor import machine  # noqa: PLC0415

    if not serves:
        yield machine.port(config)
    if config.tls.cert_file is not None:
        yield machine.certificate(config)
    if config.iggy.connection_string is None:
        yield machine.disk(config)
        yield machine.sync_speed(config)
        yield machine.clock(config)
    else:
        from bridge.iggy.address import parse_connection_string  # noqa: PLC0415

        yield from machine.iggy(parse_connection_string(config.iggy.connection_string).server_addresses)
    if not serves:
        embedded = config.iggy.connection_string is None
        yield durability_of("persisted" if embedded else config.log.durability, means="will mean")
    yield from machine.keys(config, datetime.now(UTC))
    yield machine.open_files()
