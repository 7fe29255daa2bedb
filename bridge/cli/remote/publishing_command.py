"""`bridge pub` (shell): a message, or lines of a file or of stdin, each sent once."""

import os
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, NamedTuple

import typer

from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.failures import CommandFailed, ExitCode
from bridge.cli.remote.names import topic_path
from bridge.cli.remote.progress import bar
from bridge.cli.remote.reading_commands import TopicOption
from bridge.cli.remote.rendering import Column, count_text
from bridge.cli.remote.transfer_state import TransferState

_NAMESPACE_BYTES: Final = 16
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
_Key = Annotated[
    str | None, typer.Option("--key", "-k", help="Messages of one key keep their order.", show_default=False)
]
_Partition = Annotated[
    int | None, typer.Option("--partition", min=0, help="In this partition.", show_default=False)
]
_Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        metavar="NAME=VALUE",
        help="A header of each message; may be given again.",
        show_default=False,
    ),
]


def add_publishing(app: typer.Typer) -> None:
    """Add `pub`."""
    app.command("pub")(remote(_pub))


async def _pub(
    call: Call,
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="[MESSAGE]", help="Text or JSON; lines of stdin when left out.", show_default=False
        ),
    ] = None,
    *,
    topic: TopicOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-F", help="A message a line; the same command goes on after a cut.", show_default=False
        ),
    ] = None,
    key: _Key = None,
    partition: _Partition = None,
    header: _Headers = None,
    restart: Annotated[bool, typer.Option("--restart", help="Send the file from its first line on.")] = False,
) -> None:
    """
    Send a message, or the lines of a file or of stdin as a message each; blank lines are no messages.

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
        await _send_one(call, path, message.encode(), place, headers)
    elif file is None:
        await _send_lines(call, _Source(sys.stdin.buffer, None, None), path, place, headers)
    else:
        identity = {"what": "pub", "url": call.client.target.url, "path": path, "file": str(file.resolve())}
        state = TransferState({**identity, "place": place, "headers": headers}, os.environ)
        if restart:
            state.clear()
        try:
            opened = file.open("rb")
        except OSError as error:
            raise CommandFailed(f"The file cannot be read: {error.strerror}.", ExitCode.USAGE) from None
        with opened:
            await _send_lines(call, _Source(opened, state, os.fstat(opened.fileno())), path, place, headers)


async def _send_one(
    call: Call, path: str, message: bytes, place: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    from bridge.cli.remote.sending import Outgoing, Sender  # noqa: PLC0415 (the client takes half a second)

    if not message:
        raise CommandFailed("A message has at least one byte.", ExitCode.USAGE)
    outgoing = Outgoing.of(message, str(uuid.uuid4()))
    sender = Sender(call.client, path, query=tuple(place.items()), headers=headers)
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


class _Source(NamedTuple):
    """Lines; with a state, and what the file looks like, where they can be gone back to."""

    file: BinaryIO
    state: TransferState | None
    stat: os.stat_result | None


async def _send_lines(
    call: Call, source: _Source, path: str, place: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    from bridge.cli.remote.sending import Sender  # noqa: PLC0415

    sender = Sender(call.client, path, query=tuple(place.items()), headers=headers)
    state = _begin(call, source)
    if source.state is not None:
        source.file.seek(state["byte"])
    stored: Counter[str] = Counter()
    partitions: Counter[int] = Counter()
    durability = None
    cursor, resumed = state["cursor"], state["cursor"] is not None
    with bar("Sending", None if source.stat is None else source.stat.st_size) as shown:
        for block in _blocks(source.file, uuid.UUID(state["session"]), state["line"], state["byte"]):
            if not resumed:
                cursor = await sender.place()
            state |= {"line": block.line, "byte": block.byte, "cursor": cursor}
            if source.state is not None:
                source.state.write(state)
            left = await sender.missing(block.messages, cursor) if resumed else block.messages
            stored["found"] += len(block.messages) - len(left)
            resumed = False
            for each in await _sent(sender, block, left, cursor):
                durability = each.durability
                for one in each.receipts:
                    partitions[one["partition_id"]] += one["count"]
            stored["stored"] += len(left)
            stored["lines"] = block.end_line
            state |= {"line": block.end_line, "byte": block.end_byte, "cursor": None}
            shown.at(block.end_byte, f"{block.end_line:,} lines")
    if source.state is not None:
        source.state.clear()
    call.out.one(
        {
            "stored": stored["stored"],
            "found": stored["found"],
            "lines": stored["lines"] or state["line"],
            "durability": durability,
            "partitions": [{"partition_id": p, "count": n} for p, n in sorted(partitions.items())],
        },
        _MANY,
    )


async def _sent(sender: Any, block: "_Block", left: list[Any], cursor: str) -> list[Any]:
    """What was told of *left*; a fault names the line of the file."""
    try:
        return list(await sender.send(left, cursor)) if left else []
    except CommandFailed as failure:
        word, _, number = failure.fault_at.partition(" ")
        if word == "line" and number.isdecimal():
            faulty = left[int(number) - 1]
            line = block.numbers[next(at for at, each in enumerate(block.messages) if each is faulty)]
            failure.hint = f"That is line {line:,} of what was given; the lines before it are stored."
        raise


def _begin(call: Call, source: _Source) -> dict[str, Any]:
    """Where the lines begin: at the first, or where a transfer of the same file was cut."""
    stat = source.stat
    looks = {} if stat is None else {"size": stat.st_size, "changed_ns": stat.st_mtime_ns}
    found = None if source.state is None else source.state.read()
    if found is None:
        return {"session": str(uuid.uuid4()), "line": 0, "byte": 0, "cursor": None, **looks}
    if any(found[name] != value for name, value in looks.items()):
        raise CommandFailed(
            f"The file has changed since it was sent up to line {found['line']}.",
            ExitCode.USAGE,
            hint="Send it from its first line on with --restart.",
        )
    call.out.note(f"bridge: going on behind line {found['line']:,}.")
    return found


class _Block(NamedTuple):
    """Some lines: from where, up to where, the messages in them, and the number of the line of each."""

    line: int
    byte: int
    end_line: int
    end_byte: int
    messages: list[Any]
    numbers: list[int]


def _blocks(file: BinaryIO, session: uuid.UUID, line: int, byte: int) -> Iterator[_Block]:
    """The rest of *file*; a line has the same id whenever it is read again."""
    from bridge.cli.remote.sending import BLOCK_BYTES, BLOCK_MESSAGES, Outgoing  # noqa: PLC0415

    while True:
        messages: list[Any] = []
        numbers: list[int] = []
        at_line, at_byte, size = line, byte, 0
        while len(messages) < BLOCK_MESSAGES and size < BLOCK_BYTES and (text := file.readline()):
            line, byte = line + 1, byte + len(text)
            payload = text.strip(b" \t\r\n")
            if payload:
                size += len(payload)
                messages.append(Outgoing.of(payload, _line_id(session, line)))
                numbers.append(line)
        if messages:
            yield _Block(at_line, at_byte, line, byte, messages, numbers)
        elif at_byte == byte:
            return


def _line_id(session: uuid.UUID, line: int) -> str:
    """The low half of the session's random number counts the lines: distinct in it, and as random as it between them."""
    return str(uuid.UUID(int=session.int ^ line))


def _headers(given: list[str] | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals or not name or not value:
            raise CommandFailed("--header takes NAME=VALUE.", ExitCode.USAGE)
        headers[name] = value
    return headers
