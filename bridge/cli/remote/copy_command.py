"""`bridge copy` (shell): the messages of a topic into another, of this bridge or of another."""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import path_of
from bridge.cli.client.target import target_of
from bridge.cli.remote.calling import Call, remote
from bridge.cli.remote.completing import other_topics_like, topics_like
from bridge.cli.remote.names import split_topic, topic_path
from bridge.cli.remote.partition_reading import Span, read_span, spans_of
from bridge.cli.remote.progress import ShowProgress, bar
from bridge.cli.remote.rendering import Column, Output, count_text, size_text
from bridge.cli.remote.tallies import Tally, check
from bridge.cli.remote.transfer_state import TransferState, told_now

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient
    from bridge.cli.remote.sending import Outgoing

NoCheck = Annotated[bool, typer.Option("--no-check", help="Do not read at the end what is there.")]
Restart = Annotated[bool, typer.Option("--restart", help="Forget how far it came, and begin anew.")]
Spread = Annotated[bool, typer.Option("--spread", help="Into any partition, in place of the same.")]
DONE: Final = (
    Column("messages", "MESSAGES", count_text),
    Column("size_bytes", "PAYLOADS", size_text),
    Column("found", "WERE THERE", count_text),
    Column("checked", "CHECKED"),
)


def show_stored(out: Output, tally: Tally, found: int, *, checked: bool) -> None:
    """What became of all messages of a transfer."""
    checks = "all are there, none is there twice" if checked else "no"
    size_bytes = None if tally.size_bytes < 0 else tally.size_bytes
    shown = {"messages": tally.messages, "size_bytes": size_bytes, "found": found, "checked": checks}
    out.one(shown, DONE)


def add_copy(app: typer.Typer) -> None:
    app.command("copy")(remote(_copy))


async def _copy(
    call: Call,
    source: Annotated[
        str, typer.Argument(metavar="STREAM/TOPIC", help="From here.", autocompletion=topics_like)
    ],
    target: Annotated[
        str, typer.Argument(metavar="STREAM/TOPIC", help="To here.", autocompletion=other_topics_like)
    ],
    *,
    to_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Bridge to copy to. [dim]default: the same[/]")
    ] = None,
    to_key_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="File that holds its API key.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add the topic, like its source, where it is not there.")
    ] = False,
    spread: Spread = False,
    no_check: NoCheck = False,
    restart: Restart = False,
) -> None:
    """Copy what a topic holds now into another, each message to the same partition with its id and headers.

    The same command goes on after a cut, with nothing lost and nothing twice, and after its end with what came since. At the
    end all is read and compared.
    """
    from bridge.cli.client.bridge_client import BridgeClient  # noqa: PLC0415 (it takes half a second)

    split_topic(target)
    if to_url is None and source == target:
        raise CommandFailed("A topic is not copied into itself.", ExitCode.USAGE)
    other = (
        call.client.target
        if to_url is None
        else target_of(to_url, to_key_file, _WITHOUT_KEY, call.client.target.tls)
    )
    async with BridgeClient(other) as to:
        found = await call.client.get(topic_path(source))
        there = await _prepare(to, target, found, add=add, spread=spread)
        names = {"from": call.client.target.url, "source": source, "to": other.url, "target": target}
        state = TransferState({"what": "copy", **names, "spread": spread}, os.environ)
        if restart:
            state.clear()
        await _Copy(call, to, topic_path(source), topic_path(target), state, spread=spread).run(
            _left(call, state.ended(), found, there), checks=not no_check
        )


#: The key of the one bridge is not sent to the other.
_WITHOUT_KEY: Final[dict[str, str]] = {}


async def _prepare(
    to: "BridgeClient", target: str, source: dict[str, Any], *, add: bool, spread: bool
) -> dict[str, Any]:
    """Make the target where it is to be added, and tell what it holds."""
    try:
        found: dict[str, Any] = await to.get(topic_path(target))
    except CommandFailed as failure:
        if failure.code is not ExitCode.NOT_FOUND or not add:
            failure.hint = failure.hint or "Add it with --add."
            raise
        stream, name = split_topic(target)
        try:
            await to.get(path_of("streams", stream))
        except CommandFailed as missing:
            if missing.code is not ExitCode.NOT_FOUND:
                raise
            await to.send("POST", "/streams", {"name": stream})
        body = {"name": name, "partitions": source["partitions_count"], "durability": source["durability"]}
        kept = {key: value for key, value in source["retention"].items() if value is not None}
        body |= {"retention": kept} if kept else {}
        found = await to.send("POST", path_of("streams", stream, "topics"), body)
    if found["partitions_count"] < source["partitions_count"] and not spread:
        raise CommandFailed(
            f"The target has {found['partitions_count']} partitions, the source {source['partitions_count']}.",
            ExitCode.USAGE,
            hint="Add partitions to it, or copy into any of them with --spread.",
        )
    return found


def _left(
    call: Call, ended: Mapping[str, Any] | None, source: dict[str, Any], target: dict[str, Any]
) -> list[Span]:
    """What of *source* came since the copy that *ended*: all of it where there was none.

    Raises:
        CommandFailed: if one of the two does not reach as far as it did then.
    """
    spans = spans_of(source)
    if ended is None:
        return spans
    if not (_reaches(source, ended["source"]) and _reaches(target, ended["target"])):
        raise CommandFailed(
            f"The source or the target began anew since the copy of {ended['at']}.",
            ExitCode.USAGE,
            hint="Copy all of it once more with --restart.",
        )
    call.out.note(f"bridge: going on behind what was copied at {ended['at']}.")
    copied = dict(ended["source"])
    return [span._replace(begin=copied.get(span.partition_id, 0)) for span in spans]


def _reaches(topic: dict[str, Any], ends: Iterable[tuple[int, int]]) -> bool:
    # Not by what is in there: retention takes that, and leaves the offsets.
    reached = {each["id"]: each["current_offset"] + 1 for each in topic["partitions"]}
    return all(reached.get(partition_id, 0) >= end for partition_id, end in ends)


class _Copy:
    """One copy; its state is kept before each block is sent."""

    def __init__(
        self, call: Call, to: "BridgeClient", source: str, target: str, state: TransferState, *, spread: bool
    ) -> None:
        from bridge.cli.remote.sending import BlockSender  # noqa: PLC0415

        self._call, self._to = call, to
        self._source, self._target = source, target
        self._state, self._spread = state, spread
        self._sender = BlockSender(to, target)

    async def run(self, spans: list[Span], *, checks: bool) -> None:
        kept = self._state.read()
        if kept is None:
            kept = {
                "spans": [list(span) for span in spans],
                "at": 0,
                "offset": 0,
                "start": await self._sender.place(),
                "cursor": None,
                "tally": None,
                "found": 0,
            }
        else:
            self._call.out.note(f"bridge: going on behind {Tally.of(kept['tally']).messages:,} messages.")
        whole = [Span(*each) for each in kept["spans"]]
        total = sum(max(0, each.end - each.begin) for each in whole)
        with bar("Copying", total) as shown:
            while kept["at"] < len(whole):
                span = whole[kept["at"]]
                await self._span(span._replace(begin=max(span.begin, kept["offset"])), kept, shown)
                kept |= {"at": kept["at"] + 1, "offset": 0}
        tally = Tally.of(kept["tally"])
        if checks:
            await check(self._to, self._target, kept["start"], tally)
        ends = {"source": whole, "target": spans_of(await self._to.get(self._target))}
        pairs = {name: [(each.partition_id, each.end) for each in spans] for name, spans in ends.items()}
        self._state.end({**pairs, "at": told_now()})
        show_stored(self._call.out, tally, kept["found"], checked=checks)

    async def _span(self, span: Span, kept: dict[str, Any], shown: ShowProgress) -> None:
        async with aclosing(self._blocks(span)) as blocks:
            async for block, offset in blocks:
                resumed = kept["cursor"] is not None
                if not resumed:
                    kept["cursor"] = await self._sender.place()
                self._state.write(kept)
                left = await self._sender.missing(block, kept["cursor"]) if resumed else block
                if left:
                    await self._sender.send(left, kept["cursor"])
                tally = Tally.of(kept["tally"])
                for message in block:
                    tally = tally.plus(message.id, message.size_bytes)
                kept |= {"offset": offset, "cursor": None, "tally": tally.state()}
                kept["found"] += len(block) - len(left)
                shown(tally.messages, f"{tally.messages:,} messages")

    async def _blocks(self, span: Span) -> AsyncGenerator[tuple[list["Outgoing"], int]]:
        """Blocks of *span* with the offset behind them; the same whenever it is read from there."""
        from bridge.cli.remote.sending import BLOCK_BYTES, BLOCK_MESSAGES, Outgoing  # noqa: PLC0415

        block: list[Outgoing] = []
        size_bytes, offset = 0, span.begin
        async with aclosing(read_span(self._call.client, self._source, span)) as messages:
            async for message, line in messages:
                partition_id = None if self._spread else message.partition_id
                place = f"message {message.partition_id}:{message.offset} of the source"
                block.append(Outgoing(message.id, line, partition_id, message.size, place))
                size_bytes, offset = size_bytes + message.size, message.offset + 1
                if len(block) >= BLOCK_MESSAGES or size_bytes >= BLOCK_BYTES:
                    yield block, offset
                    block, size_bytes = [], 0
        if block:
            yield block, offset
