"""A bridge that serves, as it tells of itself (shell)."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import bridge
from bridge.cli.client.bridge_client import BridgeClient
from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request
from bridge.cli.client.target import KEY_VARIABLE, Target
from bridge.cli.doctor.findings import Finding, Level, certificate_ends, durability_of

#: Who takes longer is no bridge, or none that serves.
_HEALTH_S: Final = 5.0
_CLOCK_WARN_S: Final = 2.0
_CLOCK_FAIL_S: Final = 30.0


async def answers(client: BridgeClient) -> dict[str, Any] | None:
    """What `/health` says; None where no bridge answers."""
    try:
        async with asyncio.timeout(_HEALTH_S):
            found = await client.ask_once(Request("GET", "/health", again=True))
    except (CommandFailed, TimeoutError):
        return None
    return found if isinstance(found, dict) and "log" in found else None


async def serving(client: BridgeClient, health: dict[str, Any]) -> AsyncIterator[Finding]:
    """Each thing that can be seen from outside."""
    version = health["version"]
    if version == bridge.__version__:
        yield Finding("bridge", Level.OK, f"Version {version} answers at {client.target.url}.")
    else:
        told = f"Version {version} answers, and this command line is {bridge.__version__}."
        yield Finding("bridge", Level.WARN, told, "Use the command line of the bridge's version.")
    if client.target.url.startswith("https:"):
        yield certificate_ends(await asyncio.to_thread(_certificate_ends_s, client.target), time.time())
    yield await _key(client)
    yield await _ready(client)
    yield _log(health["log"])
    yield durability_of(health["log"].get("durability"), means="means")
    yield _clock(health["timestamp"])
    for warning in health["log"].get("warnings", ()):
        yield Finding("log", Level.WARN, warning, "See docs/operations.md.")


def _certificate_ends_s(target: Target) -> float:
    """When the certificate that is shown ends, as Unix time; it has just been believed."""
    parts = urlsplit(target.url)
    context = target.tls.context() or ssl.create_default_context()
    host = parts.hostname or ""
    with (
        socket.create_connection((host, parts.port or 443), _HEALTH_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        shown: Any = encrypted.getpeercert()
        return float(ssl.cert_time_to_seconds(shown["notAfter"]))


async def _key(client: BridgeClient) -> Finding:
    try:
        await client.ask_once(Request("GET", "/streams", again=True))
    except CommandFailed as failure:
        if failure.code is ExitCode.AUTH:
            return Finding("key", Level.FAIL, failure.message, f"Set {KEY_VARIABLE} or give --key-file.")
        return Finding("key", Level.WARN, f"Nobody knows: {failure.message}", "See log.")
    if client.target.key is None:
        return Finding("key", Level.OK, "No key is asked for.")
    return Finding("key", Level.OK, "The key is taken.")


async def _ready(client: BridgeClient) -> Finding:
    try:
        await client.ask_once(Request("GET", "/ready"))
    except CommandFailed as failure:
        return Finding(
            "ready",
            Level.FAIL,
            "/ready says no.",
            f"`curl {client.target.url}/ready` names the check. {failure.hint}",
        )
    return Finding("ready", Level.OK, "Requests may come.")


def _log(log: dict[str, Any]) -> Finding:
    version = f" {log['server_version']}" if log.get("server_version") else ""
    told = f"{log['kind']}{version} is {log['state']}."
    if log.get("detail"):
        return Finding("log", Level.FAIL, f"{told} {log['detail']}", "See docs/operations.md.")
    return Finding("log", Level.OK, told)


def _clock(timestamp: str) -> Finding:
    apart_s = (datetime.fromisoformat(timestamp) - datetime.now(UTC)).total_seconds()
    told = f"The bridge's clock is {abs(apart_s):.1f} s {'ahead of' if apart_s > 0 else 'behind'} this machine's."
    cure = "Keep both set (NTP): leases and --since go by them."
    if abs(apart_s) >= _CLOCK_FAIL_S:
        return Finding("clock", Level.FAIL, told, cure)
    return (
        Finding("clock", Level.WARN, told, cure)
        if abs(apart_s) >= _CLOCK_WARN_S
        else Finding("clock", Level.OK, told)
    )
