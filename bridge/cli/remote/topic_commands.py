"""`bridge topics` and `bridge streams` (shell)."""

from typing import Annotated, Any, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request, path_of
from bridge.cli.remote.calling import Call, Yes, add_group, confirm, remote
from bridge.cli.remote.completing import streams_like, topics_like
from bridge.cli.remote.names import age_of, size_of, split_topic, topic_path
from bridge.cli.remote.rendering import Column, OutputFormat, age_text, count_text, size_text

TopicName = Annotated[
    str, typer.Argument(metavar="STREAM/TOPIC", help="The topic.", autocompletion=topics_like)
]
_StreamName = Annotated[
    str, typer.Argument(metavar="STREAM", help="The stream.", autocompletion=streams_like)
]
_FOR_EVER: Final = "forever"
_ALL: Final = "all"


def _retention_text(value: Any) -> str:
    age, size = value.get("max_age_seconds"), value.get("max_bytes")
    parts = [*([age_text(age)] if age else []), *([size_text(size)] if size else [])]
    return ", ".join(parts) or "for ever"


_TOPICS: Final = (
    Column("topic", "TOPIC"),
    Column("partitions_count", "PARTITIONS", right=True),
    Column("messages_count", "MESSAGES", count_text, right=True),
    Column("size_bytes", "SIZE", size_text, right=True),
    Column("durability", "DURABILITY"),
    Column("retention", "KEPT", _retention_text),
)
_TOPIC: Final = (*_TOPICS, Column("created_at", "CREATED"))
_PARTITIONS: Final = (
    Column("id", "PARTITION", right=True),
    Column("messages_count", "MESSAGES", count_text, right=True),
    Column("size_bytes", "SIZE", size_text, right=True),
    Column("current_offset", "NEWEST OFFSET", count_text, right=True),
)
_STREAMS: Final = (
    Column("name", "STREAM"),
    Column("topics_count", "TOPICS", right=True),
    Column("messages_count", "MESSAGES", count_text, right=True),
    Column("size_bytes", "SIZE", size_text, right=True),
    Column("created_at", "CREATED"),
)


def add_topics(app: typer.Typer) -> None:
    add_group(
        app,
        "topics",
        "Topics of the log: list, show, add, change, remove, empty.",
        remote,
        ls=_list_topics,
        info=_show_topic,
        add=_add_topic,
        set=_set_topic,
        grow=_grow_topic,
        rm=_remove_topic,
        purge=_purge_topic,
    )
    add_group(
        app,
        "streams",
        "Streams, which hold topics: list, show, add, remove.",
        remote,
        ls=_list_streams,
        info=_show_stream,
        add=_add_stream,
        rm=_remove_stream,
    )


async def _list_topics(
    call: Call,
    stream: Annotated[
        str | None,
        typer.Argument(metavar="[STREAM]", help="Only of this stream.", autocompletion=streams_like),
    ] = None,
) -> None:
    """List topics, of one stream or of all."""
    rows = []
    for name in [each["name"] for each in await call.client.get("/streams")] if stream is None else [stream]:
        found = await call.client.get(path_of("streams", name, "topics"))
        rows += [{"topic": f"{name}/{each['name']}", "stream": name, **each} for each in found]
    call.out.rows(_TOPICS, rows)


async def _show_topic(call: Call, topic: TopicName) -> None:
    """Show one topic with its partitions."""
    found = await call.client.get(topic_path(topic))
    found = {"topic": topic, **found}
    call.out.one(found, _TOPIC)
    if call.out.form is OutputFormat.TABLE:
        call.out.text("")
        call.out.rows(_PARTITIONS, found["partitions"])


async def _add_topic(
    call: Call,
    topic: TopicName,
    *,
    partitions: Annotated[int, typer.Option("--partitions", "-p", min=1, help="How many.")] = 1,
    durability: Annotated[
        str | None, typer.Option(help="persisted or replicated. [dim]default: that of the bridge[/]")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="How long messages are kept, as 7d. [dim]default: for ever[/]")
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option(help="How much is kept, as 10GiB. [dim]default: all[/]")
    ] = None,
) -> None:
    """Add a topic to a stream."""
    stream, name = split_topic(topic)
    body: dict[str, Any] = {"name": name, "partitions": partitions}
    if durability is not None:
        body["durability"] = durability
    retention: dict[str, int] = {}
    if max_age is not None:
        retention["max_age_seconds"] = int(age_of(max_age).total_seconds())
    if max_bytes is not None:
        retention["max_bytes"] = size_of(max_bytes)
    if retention:
        body["retention"] = retention
    found = await call.client.send("POST", path_of("streams", stream, "topics"), body)
    call.out.one({"topic": topic, **found}, _TOPIC)


async def _set_topic(
    call: Call,
    topic: TopicName,
    *,
    max_age: Annotated[
        str | None, typer.Option(help="How long messages are kept, as 7d, or forever.")
    ] = None,
    max_bytes: Annotated[str | None, typer.Option(help="How much is kept, as 10GiB, or all.")] = None,
) -> None:
    """Change how long a topic keeps its messages, or how many; what is not given stays as it is.

    What is older, or more, is removed within minutes.
    """
    if max_age is None and max_bytes is None:
        raise CommandFailed("Give --max-age or --max-bytes, or both.", ExitCode.USAGE)
    given: dict[str, int | None] = {}
    if max_age is not None:
        given["max_age_seconds"] = None if max_age == _FOR_EVER else int(age_of(max_age).total_seconds())
    if max_bytes is not None:
        given["max_bytes"] = None if max_bytes == _ALL else size_of(max_bytes)
    path = topic_path(topic)
    if len(given) == 1:
        given = {**(await call.client.get(path))["retention"], **given}
    found = await call.client.send("PATCH", path, {"retention": given}, again=True)
    call.out.one({"topic": topic, **found}, _TOPIC)


async def _grow_topic(
    call: Call,
    topic: TopicName,
    *,
    partitions: Annotated[
        int, typer.Option("--partitions", "-p", min=1, help="How many it has then, in all.")
    ],
) -> None:
    """Give a topic more partitions; it never has fewer again.

    From then on keys may go to other partitions than before, so messages of one key keep their order only among those
    before and among those after.
    """
    path = topic_path(topic)
    found = await call.client.get(path)
    more = partitions - found["partitions_count"]
    if more < 0:
        raise CommandFailed(
            f"The topic has {found['partitions_count']} partitions, and none can be removed.", ExitCode.USAGE
        )
    if more:
        found = await call.client.send("POST", f"{path}/partitions", {"count": more})
    call.out.one({"topic": topic, **found}, _TOPIC)


async def _remove_topic(call: Call, topic: TopicName, *, yes: Yes = False) -> None:
    """Remove a topic with its messages, offsets and groups."""
    path = topic_path(topic)
    await confirm(call, f"Remove the topic {topic} with all its messages?", yes=yes, path=path)
    await call.client.ask(Request("DELETE", path))
    call.out.note(f"Removed {topic}.")


async def _purge_topic(call: Call, topic: TopicName, *, yes: Yes = False) -> None:
    """Empty a topic: no message, offset or group is left."""
    path = topic_path(topic)
    await confirm(call, f"Remove all messages of the topic {topic}?", yes=yes, path=path)
    await call.client.ask(Request("POST", f"{path}/purge"))
    call.out.note(f"Emptied {topic}.")


async def _list_streams(call: Call) -> None:
    """List streams."""
    call.out.rows(_STREAMS, await call.client.get("/streams"))


async def _show_stream(call: Call, stream: _StreamName) -> None:
    """Show one stream."""
    call.out.one(await call.client.get(path_of("streams", stream)), _STREAMS)


async def _add_stream(call: Call, stream: _StreamName) -> None:
    """Add a stream, which has no topic yet."""
    call.out.one(await call.client.send("POST", "/streams", {"name": stream}), _STREAMS)


async def _remove_stream(call: Call, stream: _StreamName, *, yes: Yes = False) -> None:
    """Remove a stream with its topics and all their messages."""
    path = path_of("streams", stream)
    if not yes and not call.client.only_shows:
        found = await call.client.get(path)
        count = found["topics_count"]
        text = f"Remove the stream {stream} with its {count} topic{'s' if count != 1 else ''}?"
        await confirm(call, text, yes=yes)
    await call.client.ask(Request("DELETE", path))
    call.out.note(f"Removed {stream}.")
