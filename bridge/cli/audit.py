"""`bridge audit` (wiring): the audit log checked, on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.cli.remote.calling import OutputOption, add_group, local
from bridge.cli.remote.failures import CommandFailed, ExitCode
from bridge.cli.remote.rendering import Column, Output, OutputFormat

_Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Files of one audit log, in any order; older ones may lack."),
]
_Head = Annotated[
    str | None,
    typer.Option(
        metavar="HASH",
        help="A hash that was kept elsewhere, such as of a log line audit_log_closed: the record that has it must be there.",
    ),
]
_CHAIN: Final = (
    Column("records", "RECORDS", right=True),
    Column("first", "FIRST", right=True),
    Column("last", "LAST", right=True),
    Column("head", "HEAD"),
)


def add_audit(app: typer.Typer) -> None:
    text = "The audit log: who changed what, and who was refused."
    add_group(app, "audit", text, local, verify=_verify).callback()(_group)


def _group() -> None:
    """Keep `verify` a command of its own: a lone one would take the place of its group."""


def _verify(files: _Files, head: _Head = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Follow the chain of hashes through FILE...; exit 1 where a record was changed, taken out, put in or moved."""
    from bridge.audit import Broken, verify  # noqa: PLC0415 (when it is asked for)

    lines = _Lines(files)
    first = last = count = 0
    newest, found = "", head is None
    try:
        for seq, newest in verify(lines):
            first, last, count = first or seq, seq, count + 1
            found = found or newest == head
    except Broken as broken:
        raise CommandFailed(f"the chain is broken: {lines.place}: {broken.why}", ExitCode.FAILED) from None
    if not found:
        raise CommandFailed(
            "the chain is whole, and lacks the record of that hash: its end was cut off", ExitCode.FAILED
        )
    Output(output).one({"records": count, "first": first, "last": last, "head": newest}, _CHAIN)


class _Lines:
    """The lines of *files*, by the number of the first record in each; *place* is where the last one stands."""

    def __init__(self, files: list[Path]) -> None:
        self._files = sorted(files, key=_first_record)
        self.place = ""

    def __iter__(self) -> Iterator[bytes]:
        for path in self._files:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    self.place = f"{path} line {number}"
                    yield line


def _first_record(path: Path) -> int:
    import orjson  # noqa: PLC0415 (as above)

    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}", ExitCode.FAILED) from None
    try:
        record: Any = orjson.loads(line)
        return int(record["seq"])
    except (ValueError, TypeError, KeyError):
        return 0
