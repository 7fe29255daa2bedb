"""`bridge bench` (shell): a small load on a topic, and how long each request took."""

import asyncio
import math
import os
import time
from collections import Counter
from typing import Annotated, Any, Final, NamedTuple

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.names import age_of, topic_path
from bridge.cli.remote.rendering import Column, count_text, size_text
from bridge.cli.remote.topic_commands import TopicName

_CONNECTIONS_MAX: Final = 100
_SIZE_MAX: Final = 1024 * 1024
_BATCH_MAX: Final = 1_000
_S_MAX: Final = 600.0
_REFUSALS_SHOWN: Final = 5


def _ms_text(value: Any) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _refused_text(value: Any) -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in value.items()) or "0"


_RESULT: Final = (
    Column("requests", "REQUESTS", count_text),
    Column("messages", "MESSAGES", count_text),
    Column("messages_per_s", "MESSAGES/S", count_text),
    Column("bytes_per_s", "PAYLOADS/S", size_text),
    Column("p50_ms", "P50", _ms_text),
    Column("p99_ms", "P99", _ms_text),
    Column("max_ms", "LONGEST", _ms_text),
    Column("refused", "REFUSED", _refused_text),
)


class _Load(NamedTuple):
    """What each of *connections* sends, one request after the other."""

    request: Request
    batch: int
    connections: int
    until_s: float


class _Seen:
    """What came of the requests so far; only answered ones have a time."""

    def __init__(self) -> None:
        self.spent_s: list[float] = []
        self.refused: Counter[str] = Counter()


def add_bench(app: typer.Typer) -> None:
    app.command("bench")(remote(_bench))


async def _bench(
    call: Call,
    topic: TopicName,
    *,
    duration: Annotated[str, typer.Option("--duration", "-d", metavar="AGE", help="How long.")] = "5s",
    connections: Annotated[
        int,
        typer.Option("--connections", "-c", min=1, max=_CONNECTIONS_MAX, help="How many senders at a time."),
    ] = 8,
    size: Annotated[
        int, typer.Option("--size", "-s", min=1, max=_SIZE_MAX, help="Bytes of a message.")
    ] = 200,
    batch: Annotated[
        int, typer.Option("--batch", "-b", min=1, max=_BATCH_MAX, help="Messages of a request.")
    ] = 1,
) -> None:
    """Store messages in a topic for a while, and show how many a second and how long a request took.

    They are real messages, and stay: take a topic that was made for it. One process sends, on one core.
    """
    seconds = age_of(duration).total_seconds()
    if not 0 < seconds <= _S_MAX:
        raise CommandFailed("It goes on for 1s to 10m.", ExitCode.USAGE)
    path = topic_path(topic)
    if not call.client.only_shows:
        await call.client.get(path)
    load, seen = _Load(_request(path, size, batch), batch, connections, time.monotonic() + seconds), _Seen()
    if call.client.only_shows:
        await call.client.ask_once(load.request)
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_send(call, load, seen))
    result = _result(seen, load, size, time.monotonic() - began_s)
    call.out.one(result, _RESULT)
    if seen.refused["429"]:
        call.out.note("bridge: 429 is the rate limit of the bridge (RATE_LIMIT_RPS), not what it can do.")
    if not seen.spent_s:
        raise CommandFailed("Nothing was stored.")


def _request(path: str, size: int, batch: int) -> Request:
    if batch == 1:
        body, kind = os.urandom(size // 2 + 1).hex()[:size].encode(), "text/plain"
    else:
        line = b'"' + os.urandom(size // 2 + 1).hex()[: max(size - 2, 0)].encode() + b'"\n'
        body, kind = line * batch, "application/x-ndjson"
    return Request("POST", f"{path}/messages", (), body, {"Content-Type": kind})


async def _send(call: Call, load: _Load, seen: _Seen) -> None:
    while (began_s := time.monotonic()) < load.until_s:
        try:
            await call.client.ask_once(load.request)
        except CommandFailed as failure:
            seen.refused[failure.status or "no answer"] += 1
            if len(seen.refused) > _REFUSALS_SHOWN:
                raise
        else:
            seen.spent_s.append(time.monotonic() - began_s)


def _result(seen: _Seen, load: _Load, size: int, whole_s: float) -> dict[str, Any]:
    spent_ms = sorted(1000 * each for each in seen.spent_s)
    stored = len(spent_ms) * load.batch
    return {
        "requests": len(spent_ms),
        "messages": stored,
        "messages_per_s": round(stored / whole_s),
        "bytes_per_s": round(stored * size / whole_s),
        "p50_ms": _share(spent_ms, 0.50),
        "p99_ms": _share(spent_ms, 0.99),
        "max_ms": _share(spent_ms, 1.0),
        "refused": dict(seen.refused),
    }


def _share(ordered: list[float], share: float) -> float | None:
    """The least of them that so large a share is not above."""
    return round(ordered[math.ceil(len(ordered) * share) - 1], 3) if ordered else None
