"""Lines of a file or of stdin sent as messages (shell), each once, gone on with where it was cut."""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from bridge.cli.remote.calling import Call
from bridge.cli.remote.failures import CommandFailed, ExitCode
from bridge.cli.remote.messages import LINE_BYTES_MAX
from bridge.cli.remote.progress import bar
from bridge.cli.remote.tallies import Tally
from bridge.cli.remote.transfer_state import TransferState

if TYPE_CHECKING:
    from bridge.cli.remote.sending import BlockSender, Outgoing


class LineSource(NamedTuple):
    """Lines; with a state, and what the file looks like, where they can be gone back to."""

    file: BinaryIO
    state: TransferState | None
    stat: os.stat_result | None


class Sent(NamedTuple):
    """What became of lines.

    Attributes:
        lines: of the file, blank ones too.
        tally: of all messages, those of before a cut too.
        found: of these, how many were stored when nobody knew it.
        partitions: messages by partition, as receipts told since the last cut.
        start: the cursor of the topic's end before the first line was sent.
    """

    lines: int
    tally: Tally
    found: int
    partitions: dict[int, int]
    durability: str | None
    start: str


def open_lines(path: Path) -> BinaryIO:
    """The file.

    Raises:
        CommandFailed: if it cannot be read, or not be gone back in.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise CommandFailed(f"The file cannot be read: {error.strerror}.", ExitCode.USAGE) from None
    if not file.seekable():
        file.close()
        raise CommandFailed(
            "A pipe cannot be read again after a cut: write it into a file first.", ExitCode.USAGE
        )
    return file


async def send_lines(
    call: Call, source: LineSource, sender: "BlockSender", outgoing: "Callable[[bytes, str], Outgoing]"
) -> Sent:
    """Send all lines that are not blank, from the first or from where it was cut.

    Args:
        source: its state is kept before each block; who calls clears it when all is done.
        outgoing: the message of a line, and of the id that the line has whenever it is read.

    Raises:
        CommandFailed: if not all of them are stored.
    """
    kept = _begin(call, source)
    kept["start"] = kept["start"] or await sender.place()
    if source.state is not None:
        source.file.seek(kept["byte"])
    partitions: Counter[int] = Counter()
    durability = None
    with bar("Sending", None if source.stat is None else source.stat.st_size) as shown:
        for block in _blocks(source.file, kept["session"], kept["line"], kept["byte"], outgoing):
            resumed = kept["cursor"] is not None
            if not resumed:
                kept["cursor"] = await sender.place()
            if source.state is not None:
                source.state.write(kept)
            left = await sender.missing(block.messages, kept["cursor"]) if resumed else block.messages
            for each in await sender.send(left, kept["cursor"]) if left else ():
                durability = each.durability
                for one in each.receipts:
                    partitions[one["partition_id"]] += one["count"]
            tally = Tally.of(kept["tally"])
            for message in block.messages:
                tally = tally.plus(message.id, message.size_bytes)
            kept |= {"line": block.end_line, "byte": block.end_byte, "cursor": None, "tally": tally.state()}
            kept["found"] += len(block.messages) - len(left)
            shown.at(block.end_byte, f"{block.end_line:,} lines")
    tally = Tally.of(kept["tally"])
    return Sent(kept["line"], tally, kept["found"], dict(partitions), durability, kept["start"])


def _begin(call: Call, source: LineSource) -> dict[str, Any]:
    """Where the lines begin: at the first, or where a transfer of the same file was cut."""
    stat = source.stat
    looks = {} if stat is None else {"size": stat.st_size, "changed_ns": stat.st_mtime_ns}
    found = None if source.state is None else source.state.read()
    if found is None:
        new = {"session": str(uuid.uuid4()), "line": 0, "byte": 0, "cursor": None, "start": None}
        return {**new, "tally": None, "found": 0, **looks}
    if any(found[name] != value for name, value in looks.items()):
        raise CommandFailed(
            f"The file has changed since it was sent up to line {found['line']}.",
            ExitCode.USAGE,
            hint="Send it from its first line on with --restart.",
        )
    call.out.note(f"bridge: going on behind line {found['line']:,}.")
    return found


class _Block(NamedTuple):
    """Some lines: up to where, and the messages in them."""

    end_line: int
    end_byte: int
    messages: "list[Outgoing]"


def _blocks(
    file: BinaryIO, session: str, line: int, byte: int, outgoing: "Callable[[bytes, str], Outgoing]"
) -> Iterator[_Block]:
    """The rest of *file*; a line has the same id whenever it is read again."""
    from bridge.cli.remote.sending import BLOCK_BYTES, BLOCK_MESSAGES  # noqa: PLC0415

    number = uuid.UUID(session).int
    text = b""
    while len(text) < LINE_BYTES_MAX:
        messages: list[Outgoing] = []
        at_byte, size = byte, 0
        while (
            len(messages) < BLOCK_MESSAGES and size < BLOCK_BYTES and (text := file.readline(LINE_BYTES_MAX))
        ):
            if len(text) == LINE_BYTES_MAX:
                break
            line, byte = line + 1, byte + len(text)
            payload = text.strip(b" \t\r\n")
            if payload:
                size += len(payload)
                # The session is random and the line is not: distinct within it, and as random between two.
                message = outgoing(payload, str(uuid.UUID(int=number ^ line)))
                messages.append(message._replace(place=f"line {line:,} of what was given"))
        if messages:
            yield _Block(line, byte, messages)
        elif at_byte == byte:
            break
    if len(text) == LINE_BYTES_MAX:
        raise CommandFailed(
            f"Line {line + 1:,} is longer than any message may be.", hint="All before it are stored."
        )
