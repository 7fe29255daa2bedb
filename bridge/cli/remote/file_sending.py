"""Lines of a file or of stdin sent as messages (shell), each once, gone on with where it was cut."""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple
from zlib import crc32

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import LINE_BYTES_MAX
from bridge.cli.remote.calling import Call
from bridge.cli.remote.progress import bar
from bridge.cli.remote.tallies import Tally
from bridge.cli.remote.transfer_state import TransferState

if TYPE_CHECKING:
    from bridge.cli.remote.sending import BlockSender, Outgoing, Stored

#: Of what was sent before, where the file has changed since.
_READ_BYTES: Final = 1024 * 1024


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
        for block in _blocks(source.file, kept, outgoing):
            before = kept["sent"]
            if kept["cursor"] is None:
                kept["cursor"] = await sender.place()
                left = block.messages
            else:
                left = await _not_stored(block, before, sender, kept["cursor"])
            kept |= {"lines": block.end_line - kept["line"], "sent": block.sums_by_id()}
            if source.state is not None:
                source.state.write(kept)
            for each in await _send(left, kept["cursor"], sender, source):
                durability = each.durability
                for one in each.receipts:
                    partitions[one["partition_id"]] += one["count"]
            tally = Tally.of(kept["tally"])
            for message, line_sum in zip(block.messages, block.sums, strict=True):
                # The size that a line tells is that of before it was mended.
                tally = tally.plus(
                    message.id, 0 if _differs(before, message, line_sum) else message.size_bytes
                )
            kept |= {"line": block.end_line, "byte": block.end_byte, "sum": block.end_sum}
            kept |= {"cursor": None, "lines": 0, "sent": {}, "tally": tally.state()}
            kept["found"] += len(block.messages) - len(left)
            shown(block.end_byte, f"{block.end_line:,} lines")
    tally = Tally.of(kept["tally"])
    return Sent(kept["line"], tally, kept["found"], dict(partitions), durability, kept["start"])


async def _send(
    messages: "list[Outgoing]", cursor: str, sender: "BlockSender", source: LineSource
) -> "Sequence[Stored]":
    if not messages:
        return ()
    try:
        return await sender.send(messages, cursor)
    except CommandFailed as failure:
        if source.state is not None and failure.fault_at.startswith("line "):
            failure.hint += " Mend it, and the same command goes on there."
        raise


def looks_of(stat: os.stat_result) -> dict[str, int]:
    """What a file looks like: where this differs it is another one, or was changed."""
    return {"size": stat.st_size, "changed_ns": stat.st_mtime_ns}


def _begin(call: Call, source: LineSource) -> dict[str, Any]:
    """Where the lines begin: at the first, or where a transfer of the same file was cut.

    All up to `byte`, which has the sum `sum`, is stored. Of the `lines` lines behind it some may be stored as well, behind
    `cursor`, which is None where there are none; `sent` has the sums of those lines by the ids of their messages.

    Raises:
        CommandFailed: if what is stored is no more what the file holds.
    """
    looks = {} if source.stat is None else looks_of(source.stat)
    found = None if source.state is None else source.state.read()
    if found is None:
        new = {"session": str(uuid.uuid4()), "line": 0, "byte": 0, "sum": 0, "cursor": None, "start": None}
        return {**new, "lines": 0, "sent": {}, "tally": None, "found": 0, **looks}
    is_changed = any(found[name] != value for name, value in looks.items())
    if is_changed and _sum_of(source.file, found["byte"]) != found["sum"]:
        raise _changed(f"The file has changed since it was sent up to line {found['line']:,}.")
    call.out.note(f"bridge: going on behind line {found['line']:,}.")
    return {**found, **looks}


def _changed(message: str) -> CommandFailed:
    return CommandFailed(message, ExitCode.USAGE, hint="Send it from its first line on with --restart.")


def _sum_of(file: BinaryIO, end: int) -> int:
    """The sum of the first *end* bytes, or of all there are."""
    file.seek(0)
    found = 0
    while end > 0 and (text := file.read(min(end, _READ_BYTES))):
        found, end = crc32(text, found), end - len(text)
    return found


def _differs(before: Mapping[str, list[int]], message: "Outgoing", line_sum: int) -> bool:
    """Whether the line was another one when it was about to be sent."""
    return line_sum not in before.get(message.id, (line_sum,))


async def _not_stored(
    block: "_Block", before: Mapping[str, list[int]], sender: "BlockSender", cursor: str
) -> "list[Outgoing]":
    """The messages of *block* that are not there.

    Whoever mends a line may change others, but none that is stored, which nobody takes back.

    Raises:
        CommandFailed: if one was.
    """
    from bridge.cli.remote.sending import Outgoing  # noqa: PLC0415

    known = {message.id for message in block.messages}
    gone = [Outgoing(id_, b"") for id_ in before if id_ not in known]
    left = await sender.missing([*block.messages, *gone], cursor)
    absent = iter(left)
    next_absent = next(absent, None)
    for message, line_sum in zip(block.messages, block.sums, strict=True):
        if message is next_absent:
            next_absent = next(absent, None)
        elif _differs(before, message, line_sum):
            raise _changed(f"What is stored has changed in the file: {message.place}.")
    not_gone = len(left) - len(gone)
    if left[not_gone:] != gone:
        raise _changed("What is stored is no more in the file.")
    return left[:not_gone]


class _Block(NamedTuple):
    """Some lines: up to where, and the messages in them.

    Attributes:
        end_sum: of all bytes up to there.
        sums: of the line of each message.
    """

    end_line: int
    end_byte: int
    end_sum: int
    messages: "list[Outgoing]"
    sums: list[int]

    def sums_by_id(self) -> dict[str, list[int]]:
        """By the ids of the messages; several where lines have the same."""
        found: dict[str, list[int]] = {}
        for message, line_sum in zip(self.messages, self.sums, strict=True):
            found.setdefault(message.id, []).append(line_sum)
        return found


def _blocks(
    file: BinaryIO, kept: Mapping[str, Any], outgoing: "Callable[[bytes, str], Outgoing]"
) -> Iterator[_Block]:
    """The rest of *file*; a line has the same id whenever it is read again, and lines that were about to be sent are one block
    again, however long they are by now.
    """
    from bridge.cli.remote.sending import BLOCK_BYTES, BLOCK_MESSAGES  # noqa: PLC0415

    number = uuid.UUID(kept["session"]).int
    line, byte, whole_sum = kept["line"], kept["byte"], kept["sum"]
    again = line + kept["lines"]
    text = b""
    while len(text) < LINE_BYTES_MAX:
        messages: list[Outgoing] = []
        sums: list[int] = []
        at_line, size = line, 0
        while (
            line < again if at_line < again else len(messages) < BLOCK_MESSAGES and size < BLOCK_BYTES
        ) and (text := file.readline(LINE_BYTES_MAX)):
            if len(text) == LINE_BYTES_MAX:
                break
            line, byte, whole_sum = line + 1, byte + len(text), crc32(text, whole_sum)
            payload = text.strip(b" \t\r\n")
            if payload:
                size += len(payload)
                # The session is random and the line is not: distinct within it, and as random between two.
                message = outgoing(payload, str(uuid.UUID(int=number ^ line)))
                messages.append(message._replace(place=f"line {line:,} of what was given"))
                sums.append(crc32(payload))
        if messages:
            yield _Block(line, byte, whole_sum, messages, sums)
        elif at_line == line:
            break
    if len(text) == LINE_BYTES_MAX:
        raise CommandFailed(
            f"Line {line + 1:,} is longer than any message may be.", hint="All before it are stored."
        )
