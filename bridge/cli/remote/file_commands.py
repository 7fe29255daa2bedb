"""`bridge export` and `bridge import` (shell): a topic as a file of lines, and back."""

import os
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import msgspec
import orjson
import typer
from msgspec import UNSET, UnsetType

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.messages import seen_message
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.copy_command import DONE, NoCheck, Restart, Spread, show_stored
from bridge.cli.remote.file_sending import LineSource, looks_of, open_lines, send_lines
from bridge.cli.remote.names import topic_path
from bridge.cli.remote.partition_reading import Span, read_span, spans_of
from bridge.cli.remote.progress import bar
from bridge.cli.remote.tallies import Tally, check
from bridge.cli.remote.topic_commands import TopicName
from bridge.cli.remote.transfer_state import TransferState, told_now

_File = Annotated[Path, typer.Argument(metavar="FILE", help="Of lines (NDJSON).")]
_TOLD_EVERY: Final = 1_000


def add_files(app: typer.Typer) -> None:
    app.command("export")(remote(_export))
    app.command("import")(remote(_import))


async def _export(call: Call, topic: TopicName, file: _File, *, restart: Restart = False) -> None:
    """Write what a topic holds now into a file, a message a line, with its id, headers, partition and offset.

    The same command goes on after a cut. At the end the lines are counted by partition.
    """
    identity = {"what": "export", "url": call.client.target.url, "topic": topic, "file": str(file.resolve())}
    state = TransferState(identity, os.environ)
    # Before anything is removed: there may be no such topic.
    found = await call.client.get(topic_path(topic))
    if restart:
        state.clear()
        file.unlink(missing_ok=True)
    kept = state.read()
    if kept is None:
        if file.exists():
            raise CommandFailed(
                "The file is there already.", ExitCode.USAGE, hint="Write it anew with --restart."
            )
        kept = {"spans": [list(span) for span in spans_of(found)]}
        state.write(kept)
    spans = [Span(*each) for each in kept["spans"]]
    with _opened(file) as lines:
        written = _written(lines)
        if written:
            call.out.note(
                f"bridge: going on behind {sum(t.messages for t, _ in written.values()):,} messages."
            )
        await _write(call, topic_path(topic), spans, lines, written)
    _check_order(written, spans)
    state.clear()
    total = (
        Tally(*map(sum, zip(*(tally for tally, _ in written.values()), strict=True))) if written else Tally()
    )
    call.out.one(
        {"messages": total.messages, "size_bytes": total.size_bytes, "checked": "every line is counted"}, DONE
    )


_Written = dict[int, tuple[Tally, int]]


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("r+b" if file.exists() else "w+b")
    except OSError as error:
        raise CommandFailed(f"The file cannot be written: {error.strerror}.", ExitCode.USAGE) from None


def _written(lines: BinaryIO) -> _Written:
    """What the file holds already by partition, with the offset behind it; half a line at its end is cut off."""
    written: _Written = defaultdict(lambda: (Tally(), 0))
    whole = 0
    for line in lines:
        if not line.endswith(b"\n"):
            break
        message = seen_message(line)
        tally, _ = written[message.partition_id]
        written[message.partition_id] = (tally.plus(message.id, message.size), message.offset + 1)
        whole += len(line)
    lines.seek(whole)
    lines.truncate()
    return written


async def _write(call: Call, path: str, spans: list[Span], lines: BinaryIO, written: _Written) -> None:
    done = sum(tally.messages for tally, _ in written.values())
    with bar("Exporting", sum(each.end for each in spans)) as shown:
        for span in spans:
            tally, offset = written[span.partition_id]
            rest = span._replace(begin=max(span.begin, offset))
            async with aclosing(read_span(call.client, path, rest)) as messages:
                async for message, line in messages:
                    lines.write(line + b"\n")
                    tally, offset = tally.plus(message.id, message.size), message.offset + 1
                    done += 1
                    if done % _TOLD_EVERY == 0:
                        shown(done, f"{done:,} messages")
            written[span.partition_id] = (tally, offset)
        lines.flush()
        os.fsync(lines.fileno())


def _check_order(written: _Written, spans: list[Span]) -> None:
    for span in spans:
        tally, offset = written[span.partition_id]
        if tally.messages > span.end or offset > span.end:
            raise CommandFailed(
                f"The file holds more of partition {span.partition_id} than there is.",
                hint="Somebody wrote to it, or the topic began anew: write it anew with --restart.",
            )


class _ImportedLine(msgspec.Struct, gc=False):
    id: str | UnsetType = UNSET
    partition_id: int | None = None
    size: int = 0
    event: dict[str, Any] | None = None


_LINE: Final = msgspec.json.Decoder(_ImportedLine)


async def _import(
    call: Call,
    file: _File,
    topic: TopicName,
    *,
    spread: Spread = False,
    no_check: NoCheck = False,
    restart: Restart = False,
) -> None:
    """Store the lines of a file, as export writes them, in a topic: each message in its partition, with its id and headers.

    The same command goes on after a cut, with nothing lost and nothing twice, also where a line that was refused was mended
    meanwhile. At the end all is read and compared.
    """
    from bridge.cli.remote.sending import BlockSender, Outgoing, plain_id  # noqa: PLC0415 (the client takes half a second)

    def outgoing(line: bytes, id_: str) -> Outgoing:
        try:
            told = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The bridge says what is wrong with it, and where.
            return Outgoing(id_, line)
        partition_id = None if spread else told.partition_id
        if not isinstance(told.id, UnsetType):
            return Outgoing(plain_id(told.id) or told.id, line, partition_id, told.size)
        named = (told.event or {}).get("id", id_)
        id_ = plain_id(named) or str(named)
        return Outgoing(id_, b'{"id":%b,%b' % (orjson.dumps(id_), line.lstrip()[1:]), partition_id, told.size)

    path = topic_path(topic)
    await call.client.get(path)
    identity = {"what": "import", "url": call.client.target.url, "path": path, "file": str(file.resolve())}
    state = TransferState({**identity, "spread": spread}, os.environ)
    if restart:
        state.clear()
    with open_lines(file) as lines:
        source = LineSource(lines, state, os.fstat(lines.fileno()))
        looks = looks_of(os.fstat(lines.fileno()))
        _check_new(state, looks)
        sent = await send_lines(call, source, BlockSender(call.client, path), outgoing)
        if not no_check:
            await check(call.client, path, sent.start, sent.tally)
    state.end({**looks, "at": told_now()})
    show_stored(call.out, sent.tally, sent.found, checked=not no_check)


def _check_new(state: TransferState, looks: dict[str, int]) -> None:
    """Nobody means to store all of it twice, whose script does not know how the command before ended.

    Raises:
        CommandFailed: if this very file was stored there.
    """
    ended = state.ended()
    if ended is not None and looks.items() <= ended.items():
        raise CommandFailed(
            f"The file was stored there already, at {ended['at']}.",
            ExitCode.USAGE,
            hint="Store it once more with --restart.",
        )
