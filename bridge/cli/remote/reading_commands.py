"""`bridge sub` and `bridge tail` (shell): messages on the screen."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import messages_of, seen_message
from bridge.cli.client.requests import JSON_HEADERS, Request, path_of
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.completing import groups_like, topics_like
from bridge.cli.remote.following import ReadStart, follow, newest
from bridge.cli.remote.merged_reading import read_merged
from bridge.cli.remote.names import place_of, topic_path
from bridge.cli.remote.partition_reading import end_of
from bridge.cli.remote.screen import Screen

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient


TopicOption = Annotated[
    str | None,
    typer.Option(
        "--topic",
        "-t",
        metavar="STREAM/TOPIC",
        help="[dim]default: that of the bridge[/]",
        autocompletion=topics_like,
    ),
]
_From = Annotated[
    str | None, typer.Option("--from", metavar="PLACE", help="first, last (what comes next), or a time.")
]
_Since = Annotated[str | None, typer.Option(metavar="AGE", help="What came in the last 10m, 2h, 7d.")]
_Where = Annotated[
    list[str] | None, typer.Option(metavar="type=TYPE", help="Only events of this type; may be given again.")
]
_Count = Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after so many messages.")]
_PAGE: Final = 100
_WAIT_MS: Final = 20_000


def add_reading(app: typer.Typer) -> None:
    app.command("sub")(remote(_sub))
    app.command("tail")(remote(_tail))


async def _sub(
    call: Call,
    *,
    topic: TopicOption = None,
    from_: _From = None,
    since: _Since = None,
    where: _Where = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Share the work with all who name it, and settle what is shown.",
            autocompletion=groups_like,
        ),
    ] = None,
    count: _Count = None,
) -> None:
    """Show messages as they come, from now on or from a place; goes on by itself after a cut.

    With --group each message is given to one of the group, and settled once it is shown.
    """
    path = topic_path(topic)
    if group is not None:
        if topic is None or from_ or since or where:
            raise CommandFailed(
                "A group has its own place: --group goes with --topic and --count alone.", ExitCode.USAGE
            )
        await _work(call, f"{path}{path_of('groups', group)}", count)
        return
    show = Screen(call.out, _event_types(where), count)
    await _show_live(call, path, ReadStart((_place(from_, since),), show.event_types), show)


async def _tail(
    call: Call,
    *,
    topic: TopicOption = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the newest messages.")] = 10,
    on: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    from_: _From = None,
    since: _Since = None,
    where: _Where = None,
    count: _Count = None,
) -> None:
    """Show the newest messages, or those since a time, in the order they came; with -f go on with what comes."""
    path, show = topic_path(topic), Screen(call.out, _event_types(where), count)
    if from_ is None and since is None:
        cursor = await end_of(call.client, path) if on else ""
        for message, line in await newest(call.client, path, lines) if lines else ():
            show.message(message, line)
        start = ReadStart((("cursor", cursor),), show.event_types)
    else:
        place = _place(from_, since)
        start = ReadStart((place,), show.event_types)
        if not on:
            if place == ("from", "last"):
                raise CommandFailed("What comes next is shown with -f.", ExitCode.USAGE)
            await _show_kept(call.client, path, place, show)
    if on:
        await _show_live(call, path, start, show)


def _place(from_: str | None, since: str | None) -> tuple[str, str]:
    if from_ is not None and since is not None:
        raise CommandFailed("Give --from or --since, not both.", ExitCode.USAGE)
    return "from", place_of(since or from_ or "last")


def _event_types(where: list[str] | None) -> tuple[str, ...]:
    types = [each.removeprefix("type=") for each in where or () if each.startswith("type=")]
    if len(types) != len(where or ()) or not all(types):
        raise CommandFailed("--where takes type=TYPE.", ExitCode.USAGE)
    return tuple(types)


async def _show_live(call: Call, path: str, start: "ReadStart", show: "Screen") -> None:
    if show.is_full:
        return
    async with aclosing(follow(call.client, path, start, call.out)) as messages:
        async for line in messages:
            show.message(seen_message(line), line)
            if show.is_full:
                return


async def _show_kept(client: "BridgeClient", path: str, place: tuple[str, str], show: "Screen") -> None:
    """What is there now, from *place* on."""
    async with aclosing(read_merged(client, path, place)) as messages:
        async for message, line in messages:
            show.message(message, line)
            if show.is_full:
                return


async def _work(call: Call, path: str, count: int | None) -> None:
    """Receive as a member of the group, show, settle, for good."""
    show = Screen(call.out, (), count)
    while not show.is_full:
        wanted = _PAGE if count is None else min(_PAGE, count - show.shown)
        body = orjson.dumps({"count": wanted, "wait_ms": _WAIT_MS})
        # A lease whose answer was lost ends by itself, so to ask again is safe.
        receive = Request("POST", f"{path}/receive", (), body, JSON_HEADERS, again=True)
        received = messages_of(await call.client.ask_raw(receive))
        for message, line in received:
            show.message(message, line)
        if received:
            tokens = {"tokens": [message.token for message, _ in received]}
            settled = await call.client.send("POST", f"{path}/ack", tokens, again=True)
            late = sum(each["outcome"] == "expired" for each in settled["results"])
            if late:
                call.out.note(f"bridge: {late} of these will come again: their lease was over.")
