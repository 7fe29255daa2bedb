"""Names that a shell completes (shell): those of the bridge that the command line speaks of, asked for and given up quickly."""

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, suppress
from http.client import HTTPConnection, HTTPSConnection
from threading import Thread
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import orjson
import typer

from bridge.cli.client.contexts import read_contexts
from bridge.cli.client.failures import CommandFailed
from bridge.cli.client.requests import path_of
from bridge.cli.client.target import Target, target_of
from bridge.cli.client.tls import TlsFiles
from bridge.cli.remote.names import topic_path

#: A person waits with a finger on the key; what is known by then is offered.
_PATIENCE_S: Final = 1.0
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_STREAMS_ASKED: Final = 32
_NAMES_MAX: Final = 1_000
# The scripts evaluate what is printed: nothing else of a name, whoever made it, may reach a shell.
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")

Ask: TypeAlias = Callable[[str], Any]


def topics_like(ctx: typer.Context, incomplete: str) -> list[str]:
    """`STREAM/TOPIC`, of one stream as soon as that is named."""
    return _offered(_target(ctx), lambda ask: _topics(ask, incomplete), incomplete)


def other_topics_like(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same of the bridge that is copied to."""
    return _offered(_target(ctx, to=True), lambda ask: _topics(ask, incomplete), incomplete)


def streams_like(ctx: typer.Context, incomplete: str) -> list[str]:
    return _offered(_target(ctx), _streams, incomplete)


def groups_like(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the groups of the topic that stands before."""
    return _offered(_target(ctx), lambda ask: _groups(ask, ctx.params.get("topic")), incomplete)


def contexts_like(incomplete: str) -> list[str]:
    """Names of contexts; nobody is asked."""
    with suppress(CommandFailed):
        return _good(sorted(read_contexts(os.environ).contexts), incomplete)
    return []


def _topics(ask: Ask, incomplete: str) -> Iterator[str]:
    stream, slash, _ = incomplete.partition("/")
    streams = [stream] if slash else [each for each in _streams(ask) if each.startswith(stream)]
    for name in streams[:_STREAMS_ASKED]:
        for each in ask(path_of("streams", name, "topics")):
            yield f"{name}/{each['name']}"


def _streams(ask: Ask) -> list[str]:
    return [each["name"] for each in ask("/streams")]


def _groups(ask: Ask, topic: str | None) -> Iterator[str]:
    if topic is not None:
        for each in ask(f"{topic_path(topic)}/groups"):
            yield each["name"]


def _target(ctx: typer.Context, *, to: bool = False) -> Target | None:
    """The bridge that the command would ask; not a word where that cannot be told."""
    given = ctx.params
    tls = TlsFiles(given.get("ca_file"), given.get("cert"), given.get("cert_key"))
    with suppress(CommandFailed), redirect_stderr(io.StringIO()):
        if to and given.get("to_url"):
            return target_of(given["to_url"], given.get("to_key_file"), {}, tls.or_of(os.environ))
        return target_of(given.get("url"), given.get("key_file"), os.environ, tls)
    return None


def _offered(target: Target | None, names: Callable[[Ask], Any], incomplete: str) -> list[str]:
    """What *names* gives within `_PATIENCE_S`; nothing where that fails."""
    if target is None:
        return []
    found: list[str] = []
    until_s = time.monotonic() + _PATIENCE_S

    def look() -> None:
        # Whatever it is, somebody is typing: nothing is said, and what was found so far is offered.
        with suppress(Exception), closing(_connection(target)) as connection:
            given = names(lambda path: _answer(connection, target, path, until_s))
            # One by one: each that came in time is there.
            found.extend(name for name in given if isinstance(name, str))

    # A name server has no bound of ours; whoever asks it ends with the process.
    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(_PATIENCE_S)
    return _good(list(found), incomplete)


def _good(names: list[str], incomplete: str) -> list[str]:
    fitting = [each for each in names if each.startswith(incomplete) and _SAFE.fullmatch(each)]
    return fitting[:_NAMES_MAX]


def _connection(target: Target) -> HTTPConnection:
    # Not the client of the commands: to load that alone takes half a second at each press of the key.
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=_PATIENCE_S, context=target.tls.context())
    return HTTPConnection(host, parts.port, timeout=_PATIENCE_S)


def _answer(connection: HTTPConnection, target: Target, path: str, until_s: float) -> Any:
    if time.monotonic() >= until_s:
        raise TimeoutError
    headers = {} if target.key is None else {"X-API-Key": target.key}
    connection.request("GET", urlsplit(target.url).path + path, headers=headers)
    answer = connection.getresponse()
    return orjson.loads(answer.read(_ANSWER_BYTES_MAX))
