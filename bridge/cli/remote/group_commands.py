"""`bridge groups` (shell): how far groups are, where they go on, what they gave up."""

from typing import Annotated, Any, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import Request, path_of
from bridge.cli.remote.calling import Call, Yes, add_group, confirm, remote
from bridge.cli.remote.completing import groups_like
from bridge.cli.remote.dead_letters import add_dead_letters
from bridge.cli.remote.names import place_of, topic_path
from bridge.cli.remote.rendering import Column, OutputFormat, count_text
from bridge.cli.remote.topic_commands import TopicName

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="The group.", autocompletion=groups_like)]


_GROUPS: Final = (
    Column("name", "GROUP"),
    Column("lag", "LAG", count_text, right=True),
    Column("in_flight", "IN FLIGHT", count_text, right=True),
    Column("members", "MEMBERS", lambda value: str(len(value)), right=True),
    Column("used_at", "USED"),
)
_PARTITIONS: Final = (
    Column("partition_id", "PARTITION", right=True),
    Column("committed_offset", "SETTLED UP TO", count_text, right=True),
    Column("end_offset", "END", count_text, right=True),
    Column("lag", "LAG", count_text, right=True),
    Column("in_flight", "IN FLIGHT", count_text, right=True),
    Column("waiting", "WAITING", count_text, right=True),
)
_MOVES: Final = (
    Column("partition_id", "PARTITION", right=True),
    Column("from_offset", "FROM", count_text, right=True),
    Column("to_offset", "TO", count_text, right=True),
)


def add_groups(app: typer.Typer) -> None:
    text = "Groups that share a topic: lag, where they go on, dead letters."
    groups = add_group(
        app, "groups", text, remote, ls=_list_groups, info=_show_group, reset=_reset_group, rm=_remove_group
    )
    add_dead_letters(groups)


async def _list_groups(call: Call, topic: TopicName) -> None:
    """List the groups of a topic."""
    found = await call.client.get(f"{topic_path(topic)}/groups")
    call.out.rows(_GROUPS, found)


async def _show_group(call: Call, topic: TopicName, group: GroupName) -> None:
    """Show a group: by partition how far it came."""
    found = await call.client.get(_path(topic, group))
    call.out.one(found, _GROUPS)
    if call.out.form is OutputFormat.TABLE:
        call.out.text("")
        call.out.rows(_PARTITIONS, found["partitions"])


async def _reset_group(
    call: Call,
    topic: TopicName,
    group: GroupName,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="PLACE", help="first, last, a time, or an age as 10m.")
    ] = None,
    offset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION=OFFSET", help="The next message it gets of a partition; may be given again."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say where it would go on.")] = False,
    yes: Yes = False,
) -> None:
    """Say where a group goes on; leases of before are forgotten."""
    if (to is None) == (not offset):
        raise CommandFailed("Give --to or --offset, one of them.", ExitCode.USAGE)
    place: Any = {"offsets": offsets_of(offset)} if offset else place_of(to or "")
    await confirm(call, f"Move the group {group} of {topic}?", yes=yes or dry_run)
    body = {"to": place, "dry_run": dry_run}
    moved = await call.client.send("PUT", f"{_path(topic, group)}/offsets", body, again=True)
    call.out.rows(_MOVES, moved["partitions"])
    call.out.note("Nothing was moved." if dry_run else f"Moved {group}.")


async def _remove_group(call: Call, topic: TopicName, group: GroupName, *, yes: Yes = False) -> None:
    """Forget a group; who receives as it again begins at the oldest message."""
    if not call.client.only_shows:
        await call.client.get(_path(topic, group))
    await confirm(call, f"Forget the group {group} of {topic}?", yes=yes)
    await call.client.ask(Request("DELETE", _path(topic, group)))
    call.out.note(f"Removed {group}.")


def _path(topic: str, group: str) -> str:
    return f"{topic_path(topic)}{path_of('groups', group)}"


def offsets_of(given: list[str]) -> list[dict[str, int]]:
    """What `PARTITION=OFFSET` says, in its order.

    Raises:
        CommandFailed: if one is anything else.
    """
    offsets: list[dict[str, int]] = []
    for each in given:
        partition, _, offset = each.partition("=")
        if not partition.isdecimal() or not offset.isdecimal():
            raise CommandFailed("An offset is given as PARTITION=OFFSET.", ExitCode.USAGE)
        offsets.append({"partition_id": int(partition), "offset": int(offset)})
    return offsets
