"""`bridge offsets` (shell): how far a consumer came that keeps its place in the bridge."""

from typing import Annotated, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request, path_of
from bridge.cli.remote.calling import Call, Yes, add_group, confirm, remote
from bridge.cli.remote.group_commands import offsets_of
from bridge.cli.remote.names import topic_path
from bridge.cli.remote.rendering import Column, count_text
from bridge.cli.remote.topic_commands import TopicName

_Consumer = Annotated[str, typer.Argument(metavar="CONSUMER", help="Its name, or digits for its id.")]
_PARTITIONS: Final = (
    Column("partition_id", "PARTITION", right=True),
    Column("offset", "READ UP TO", count_text, right=True),
    Column("current_offset", "NEWEST OFFSET", count_text, right=True),
    Column("lag", "LAG", count_text, right=True),
)


def add_offsets(app: typer.Typer) -> None:
    text = "Stored offsets of a consumer: show, store, forget them."
    add_group(app, "offsets", text, remote, get=_get, set=_set, rm=_remove)


async def _get(call: Call, topic: TopicName, consumer: _Consumer) -> None:
    """Show the stored offsets of a consumer, with its lag by partition."""
    found = await call.client.get(_path(topic, consumer))
    call.out.rows(_PARTITIONS, found["partitions"])


async def _set(
    call: Call,
    topic: TopicName,
    consumer: _Consumer,
    offset: Annotated[
        list[str], typer.Argument(metavar="PARTITION=OFFSET...", help="The last message it has read.")
    ],
) -> None:
    """Store offsets of a consumer."""
    if not offset:
        raise CommandFailed("Give at least one PARTITION=OFFSET.", ExitCode.USAGE)
    body = {"offsets": offsets_of(offset)}
    found = await call.client.send("PUT", _path(topic, consumer), body, again=True)
    call.out.rows(_PARTITIONS, found["partitions"])


async def _remove(
    call: Call,
    topic: TopicName,
    consumer: _Consumer,
    *,
    partition: Annotated[
        list[int] | None,
        typer.Option("--partition", min=0, help="Only of this partition; may be given again."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Forget the stored offsets of a consumer; it begins at the oldest message again."""
    path = _path(topic, consumer)
    await confirm(call, f"Forget the stored offsets of {consumer} in {topic}?", yes=yes)
    for each in [path_of(str(one)) for one in partition] if partition else [""]:
        await call.client.ask(Request("DELETE", f"{path}{each}", again=True))
    call.out.note(f"Removed the offsets of {consumer}.")


def _path(topic: str, consumer: str) -> str:
    return f"{topic_path(topic)}{path_of('consumers', consumer, 'offsets')}"
