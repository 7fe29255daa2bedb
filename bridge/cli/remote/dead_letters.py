"""`bridge groups dlq` (shell): the messages that a group gave up, and how they get another chance.

Which of them had it already is kept by a group of the dead-letter topic: what was sent back is settled there.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import SeenMessage, line_of, messages_of
from bridge.cli.client.requests import JSON_HEADERS, Request, path_of
from bridge.cli.remote.calling import Call, Yes, add_group, confirm, remote
from bridge.cli.remote.completing import groups_like
from bridge.cli.remote.following import partition_ids
from bridge.cli.remote.names import split_topic, topic_path
from bridge.cli.remote.rendering import Column
from bridge.cli.remote.topic_commands import TopicName
from bridge.dead_letter_names import dead_letter_name

if TYPE_CHECKING:
    from bridge.cli.remote.sending import Outgoing


_Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="The group that gave them up.", autocompletion=groups_like)
]
_REDRIVE: Final = "redrive"
_OURS: Final = "dead-letter-"
_COUNT: Final = 100
#: Long enough to send a hundred messages back, whatever is tried again meanwhile.
_VISIBILITY_MS: Final = 600_000
#: Of the dead letters themselves none shall be given up.
_DELIVERIES_MAX: Final = 1_000
_LETTERS: Final = (
    Column("place", "DEAD LETTER"),
    Column("came_from", "CAME FROM"),
    Column("deliveries", "DELIVERIES", right=True),
    Column("timestamp", "GIVEN UP"),
    Column("id", "ID"),
)


def add_dead_letters(groups: typer.Typer) -> None:
    text = "Messages that a group gave up: list them, send them back."
    add_group(groups, "dlq", text, remote, ls=_list, redrive=_redrive)


async def _list(call: Call, topic: TopicName, group: _Group) -> None:
    """List the dead letters of a group that were not sent back."""
    path = topic_path(await _letters_of(call, topic, group))
    begin: dict[int, int] = {}
    try:
        redriven = await call.client.get(f"{path}/groups/{_REDRIVE}")
        for each in redriven["partitions"]:
            begin[each["partition_id"]] = -1 if each["committed_offset"] is None else each["committed_offset"]
    except CommandFailed as failure:
        if failure.code is not ExitCode.NOT_FOUND:
            raise
    rows: list[dict[str, Any]] = []
    for partition_id in await partition_ids(call.client, path):
        query = (("partition_id", str(partition_id)), ("offset", str(begin.get(partition_id, -1) + 1)))
        async with call.client.messages(path, query) as letters:
            rows += [_row(letter) | {"message": orjson.loads(line)} async for letter, line in letters]
    call.out.rows(_LETTERS, rows)


def _row(letter: SeenMessage) -> dict[str, Any]:
    headers = letter.headers
    return {
        "place": f"{letter.partition_id}:{letter.offset}",
        "came_from": f"{headers.get(f'{_OURS}partition')}:{headers.get(f'{_OURS}offset')}",
        "deliveries": headers.get(f"{_OURS}deliveries"),
        "timestamp": letter.timestamp,
        "id": letter.id,
    }


async def _redrive(call: Call, topic: TopicName, group: _Group, *, yes: Yes = False) -> None:
    """Send the dead letters of a group back to their topic, each to its partition, with its id and headers.

    All groups of the topic get them again. Who is cut in between starts it again: none is lost and none is sent twice.
    """
    from bridge.cli.remote.sending import BlockSender  # noqa: PLC0415 (the client takes half a second)

    source, path = topic_path(await _letters_of(call, topic, group)), topic_path(topic)
    if not call.client.only_shows:
        await call.client.get(source)
    await confirm(call, f"Send the dead letters of {group} back to {topic}?", yes=yes)
    sender, sent, found = BlockSender(call.client, path), 0, 0
    order = {"count": _COUNT, "visibility_ms": _VISIBILITY_MS, "max_deliveries": _DELIVERIES_MAX}
    while True:
        # A lease whose answer is lost ends by itself.
        receive = Request(
            "POST", f"{source}/groups/{_REDRIVE}/receive", (), orjson.dumps(order), JSON_HEADERS, again=True
        )
        letters = [letter for letter, _ in messages_of(await call.client.ask_raw(receive))]
        if not letters:
            break
        there = await _sent_before(call, path, [each for each in letters if each.delivery_count > 1])
        block = [_outgoing(each) for each in letters if each.id not in there]
        if block:
            await sender.send(block, await sender.place())
        sent, found = sent + len(block), found + len(there)
        tokens = {"tokens": [each.token for each in letters]}
        await call.client.send("POST", f"{source}/groups/{_REDRIVE}/ack", tokens, again=True)
    call.out.one(
        {"sent": sent, "found": found}, (Column("sent", "SENT BACK"), Column("found", "WERE SENT BEFORE"))
    )


async def _sent_before(call: Call, path: str, letters: Sequence[SeenMessage]) -> set[str]:
    """Those whose sending back was cut before they were settled: they are in the topic, behind the time they were given up."""
    wanted: dict[int, list[SeenMessage]] = defaultdict(list)
    for letter in letters:
        wanted[letter.headers[f"{_OURS}partition"]].append(letter)
    there: set[str] = set()
    for partition_id, some in wanted.items():
        ids = {letter.id for letter in some}
        query = (("partition_id", str(partition_id)), ("from", min(letter.timestamp for letter in some)))
        async with call.client.messages(path, query) as messages:
            there |= ids & {message.id async for message, _ in messages}
    return there


def _outgoing(letter: SeenMessage) -> "Outgoing":
    from bridge.cli.remote.sending import Outgoing  # noqa: PLC0415

    headers = {name: value for name, value in letter.headers.items() if not name.startswith(_OURS)}
    return Outgoing(letter.id, line_of(letter, headers), letter.headers[f"{_OURS}partition"])


async def _letters_of(call: Call, topic: str, group: str) -> str:
    """The dead-letter topic, as the bridge says; else, where the group was removed since, as it was named."""
    stream, name = split_topic(topic)
    named = dead_letter_name(stream, name, group)
    try:
        path = f"{topic_path(topic)}{path_of('groups', group)}"
        found = await call.client.get(path)
    except CommandFailed as failure:
        if failure.code is not ExitCode.NOT_FOUND:
            raise
        found = {}
    # A bridge of an older version does not tell.
    return f"{stream}/{found.get('dead_letter_topic', named)}"
