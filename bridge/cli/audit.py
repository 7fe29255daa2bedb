"""`bridge audit` (wiring): the audit log checked, on this machine."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from typing import Annotated, Any, BinaryIO, Final

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.remote.calling import OutputOption, add_group, local
from bridge.cli.remote.rendering import Column, Output, OutputFormat

_Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="Files of one audit log, in any order; older ones may lack. - for stdin."
    ),
]
_Head = Annotated[
    str | None,
    typer.Option(
        metavar="HASH",
        help="A hash that was kept elsewhere, such as of a log line audit_log_closed: the record that has it must be there.",
    ),
]
_STDIN: Final = "-"
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
    """The lines of *files*, by the number of the first record in each; *place* is where the last one stands.

    Of a line that is longer than any record only as much is read as shows that it is none.
    """

    def __init__(self, files: list[str]) -> None:
        self._files = sorted(((path, *_begun(path)) for path in files), key=lambda each: each[2])
        self.place = ""

    def __iter__(self) -> Iterator[bytes]:
        for path, first_line, _ in self._files:
            with _opened(path) as file:
                if path != _STDIN:
                    file.seek(len(first_line))
                for number, line in enumerate(chain([first_line], iter(partial(_line, file), b"")), 1):
                    if line:
                        self.place = f"{'stdin' if path == _STDIN else path} line {number}"
                        yield line


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    """To read from its beginning; stdin goes on where it was."""
    from bridge.process.files import open_regular  # noqa: PLC0415 (as above)

    try:
        return nullcontext(sys.stdin.buffer) if path == _STDIN else open_regular(path)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}", ExitCode.FAILED) from None


def _line(file: BinaryIO) -> bytes:
    from bridge.limits import AUDIT_LINE_BYTES_MAX  # noqa: PLC0415 (as above)

    return file.readline(AUDIT_LINE_BYTES_MAX + 1)


def _begun(path: str) -> tuple[bytes, int]:
    """The first line of a file, and the number of its record; 0 where it is none."""
    import orjson  # noqa: PLC0415 (as above)

    with _opened(path) as file:
        line = _line(file)
    try:
        record: Any = orjson.loads(line)
        return line, int(record["seq"])
    except (ValueError, TypeError, KeyError):
        return line, 0
