"""`bridge pub` (shell): a message, or lines of a file or of stdin, each sent once."""

import os
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.file_sending import LineSource, open_lines, send_lines
from bridge.cli.remote.names import topic_path
from bridge.cli.remote.reading_commands import TopicOption
from bridge.cli.remote.rendering import Column, count_text
from bridge.cli.remote.transfer_state import TransferState

# A token (RFC 9110, section 5.6.2): it goes out in the name of a field.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ONE: Final = (
    Column("id", "ID"),
    Column("partition_id", "PARTITION"),
    Column("offset", "OFFSET"),
    Column("durability", "DURABILITY"),
)
_MANY: Final = (
    Column("stored", "STORED", count_text),
    Column("found", "WERE THERE", count_text),
    Column("lines", "LINES", count_text),
    Column("durability", "DURABILITY"),
)
_Key = Annotated[str | None, typer.Option("--key", "-k", help="Messages of one key keep their order.")]
_Partition = Annotated[int | None, typer.Option("--partition", min=0, help="In this partition.")]
_Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="NAME=VALUE", help="A header of each message; may be given again."
    ),
]


def add_publishing(app: typer.Typer) -> None:
    app.command("pub")(remote(_pub))


async def _pub(
    call: Call,
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="Text or JSON; lines of stdin when left out.")
    ] = None,
    *,
    topic: TopicOption = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-F", help="A message a line; the same command goes on after a cut."),
    ] = None,
    key: _Key = None,
    partition: _Partition = None,
    header: _Headers = None,
    restart: Annotated[bool, typer.Option("--restart", help="Send the file from its first line on.")] = False,
) -> None:
    """Send a message, or the lines of a file or of stdin as a message each; blank lines are no messages.

    What is JSON goes as JSON, anything else as text. Every message has its id before it is sent: what breaks is tried
    again without loss and without doubles. An event keeps its own id.
    """
    if message is not None and file is not None:
        raise CommandFailed("Give a message or a file, not both.", ExitCode.USAGE)
    if key is not None and partition is not None:
        raise CommandFailed("Give --key or --partition, not both.", ExitCode.USAGE)
    place: dict[str, str] = {}
    if key is not None:
        place["partition_key"] = key
    if partition is not None:
        place["partition_id"] = str(partition)
    path, headers = topic_path(topic), _headers(header)
    if message is not None:
        await _send_one(call, path, os.fsencode(message), place, headers)
    elif file is None:
        await _send_lines(call, LineSource(sys.stdin.buffer, None, None), path, place, headers)
    else:
        identity = {"what": "pub", "url": call.client.target.url, "path": path, "file": str(file.resolve())}
        state = TransferState({**identity, "place": place, "headers": headers}, os.environ)
        if restart:
            state.clear()
        with open_lines(file) as lines:
            await _send_lines(call, LineSource(lines, state, os.fstat(lines.fileno())), path, place, headers)


async def _send_one(
    call: Call, path: str, message: bytes, place: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    from bridge.cli.remote.sending import BlockSender, Outgoing  # noqa: PLC0415 (the client takes half a second)

    if not message:
        raise CommandFailed("A message has at least one byte.", ExitCode.USAGE)
    outgoing = Outgoing.of(message, str(uuid.uuid4()))
    sender = BlockSender(call.client, path, query=tuple(place.items()), headers=headers)
    # Shown as a command the request that matters is the one that sends.
    cursor = "" if call.client.only_shows else await sender.place()
    stored = await sender.send([outgoing], cursor)
    shown: dict[str, Any] = {"id": outgoing.id}
    for each in stored:
        receipt = each.receipts[0]
        shown |= {
            "partition_id": receipt["partition_id"],
            "offset": receipt["last_offset"],
            "durability": each.durability,
        }
    call.out.one(shown, _ONE)


async def _send_lines(
    call: Call, source: LineSource, path: str, place: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    from bridge.cli.remote.sending import BlockSender, Outgoing  # noqa: PLC0415

    sender = BlockSender(call.client, path, query=tuple(place.items()), headers=headers)
    sent = await send_lines(call, source, sender, Outgoing.of)
    if source.state is not None:
        source.state.clear()
    call.out.one(
        {
            "stored": sent.tally.messages,
            "found": sent.found,
            "lines": sent.lines,
            "durability": sent.durability,
            "partitions": [{"partition_id": p, "count": n} for p, n in sorted(sent.partitions.items())],
        },
        _MANY,
    )


def _headers(given: list[str] | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals or not _HEADER_NAME.fullmatch(name) or not value or not value.isprintable():
            raise CommandFailed(
                "--header takes NAME=VALUE, the name of letters, digits and dashes.", ExitCode.USAGE
            )
        headers[name] = value
    return headers
