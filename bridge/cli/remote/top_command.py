"""`bridge top` (shell): what goes on in a bridge, again and again."""

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.figures import Look, between, look
from bridge.cli.remote.rendering import Column, OutputFormat, count_text, size_text, table_of

if TYPE_CHECKING:
    from rich.console import RenderableType

_ROWS_MAX: Final = 20


def _rate_text(value: Any) -> str:
    return "-" if value is None else f"{value:,.1f}"


_TOPICS: Final = (
    Column("topic", "TOPIC"),
    Column("in_per_s", "IN/S", _rate_text, right=True),
    Column("bytes_in_per_s", "BYTES IN/S", size_text, right=True),
    Column("out_per_s", "OUT/S", _rate_text, right=True),
    Column("bytes_out_per_s", "BYTES OUT/S", size_text, right=True),
)
_GROUPS: Final = (
    Column("group", "GROUP"),
    Column("lag", "LAG", count_text, right=True),
    Column("in_flight", "IN FLIGHT", count_text, right=True),
)


def add_top(app: typer.Typer) -> None:
    app.command("top")(remote(_top))


async def _top(
    call: Call,
    *,
    interval: Annotated[
        float,
        typer.Option("--interval", "-i", min=0.2, max=60.0, metavar="SECONDS", help="Between two looks."),
    ] = 2.0,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after so many.")] = None,
) -> None:
    """Show rates by topic, lag by group and requests in flight, until Ctrl-C.

    The figures are those of /metrics and /stats, in all workers: what other bridges of the same Iggy do is not in them.
    """
    before, shown = await _look(call), 0
    with _screen(call) as screen:
        while count is None or shown < count:
            await asyncio.sleep(interval)
            after = await _look(call)
            seen, before, shown = between(before, after), after, shown + 1
            if call.out.form is not OutputFormat.TABLE:
                call.out.json_line(seen)
            elif screen is None:
                call.out.console.print(_drawn(seen))
            else:
                screen.update(_drawn(seen), refresh=True)


async def _look(call: Call) -> Look:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 (late, as all that is large)

    try:
        metrics = await call.client.ask_raw(Request("GET", "/metrics", again=True))
    except CommandFailed as failure:
        if failure.code is ExitCode.NOT_FOUND:
            failure.hint = (
                "Its metrics are on METRICS_PORT: give --url with that port, where /stats is missing."
            )
        raise
    stats = await call.client.get("/stats")
    return look(time.monotonic(), text_string_to_metric_families(metrics.decode()), stats)


def _screen(call: Call) -> Any:
    """The whole of a terminal, given back at the end; nothing elsewhere."""
    if call.out.form is not OutputFormat.TABLE or not call.out.is_terminal:
        return nullcontext()
    from rich.live import Live  # noqa: PLC0415 (a quarter of a second)

    return Live(console=call.out.console, screen=True, auto_refresh=False)


def _drawn(seen: dict[str, Any]) -> "RenderableType":
    from rich.console import Group  # noqa: PLC0415

    head = (
        f"{seen['requests_per_s']:,.1f} requests/s, {seen['failed_per_s']:,.1f} failed/s, "
        f"{seen['in_flight']:,} in flight, {seen['live']:,} live\n"
        f"{seen['messages']:,} messages, {size_text(seen['size_bytes'])}, up {seen['uptime_seconds']:,} s\n"
    )
    busy = sorted(
        seen["topics"], key=lambda each: -sum(each.get(name, 0.0) for name in ("in_per_s", "out_per_s"))
    )
    late = sorted(seen["groups"], key=lambda each: -int(each.get("lag", 0)))
    parts: list[RenderableType] = [head, table_of(_TOPICS, busy[:_ROWS_MAX])]
    if late:
        parts += ["", table_of(_GROUPS, late[:_ROWS_MAX])]
    return Group(*parts)
