"""`bridge backup`, `bridge restore` (wiring): the embedded log copied and put back, on this machine."""

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bridge.cli.settings import ConfigPath, effective_of
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.locallog.backup import Progress
    from bridge.locallog.manifest import Manifest

_DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", metavar="DIR", help="Directory of the embedded log; DATA_DIR when left out."),
]
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PHASES = {"copy": "copying", "check": "checking each page and message", "hash": "reading back"}
_KIB = 1024


def add_backups(app: typer.Typer) -> None:
    @app.command()
    def backup(
        target: Annotated[str, typer.Argument(metavar="TO", help="A directory that is not there yet.")],
        data_dir: _DataDir = None,
        config_path: ConfigPath = None,
    ) -> None:
        """Copy the embedded log into a new directory, while a bridge serves it or not; the copy is checked."""
        from bridge.clock import SystemClock  # noqa: PLC0415
        from bridge.locallog.backup import back_up, left_behind  # noqa: PLC0415 (SQLite, when it is asked for)

        source, to = _directory(data_dir, config_path), Path(target).absolute()
        for path in left_behind(to):
            sys.stderr.write(f"bridge backup: left by a backup that was killed, or being made: {path}\n")
        _run(
            "backup",
            f"{target} holds",
            lambda progress: back_up(source, to, clock=SystemClock(), progress=progress),
        )

    @app.command()
    def restore(
        copy: Annotated[str, typer.Argument(metavar="FROM", help="A directory that `bridge backup` made.")],
        data_dir: _DataDir = None,
        config_path: ConfigPath = None,
    ) -> None:
        """Put a backup back into a directory that is empty or not there; `bridge serve` then serves that log."""
        from bridge.locallog import restore as restoring  # noqa: PLC0415 (SQLite, when it is asked for)

        to = _directory(data_dir, config_path)
        _run("restore", "restored:", lambda progress: restoring.restore(Path(copy), to, progress=progress))


def _directory(data_dir: str | None, config_path: str | None) -> Path:
    effective = effective_of({"data_dir": data_dir, "config_path": config_path})
    return Path(effective.config.local.data_dir).absolute()


def _run(command: str, done: str, work: Callable[["Progress"], "Manifest"]) -> None:
    from bridge.process.shutdown import exit_code  # noqa: PLC0415

    try:
        with _ended_by_signals(), _shown() as progress:
            made = work(progress)
    except _Signalled as signalled:
        _end_by(signalled.number)
    except Exception as error:  # noqa: BLE001 (whatever it is becomes an exit code)
        if not isinstance(error, BridgeError):
            traceback.print_exc()
        sys.stderr.write(f"bridge {command}: {error}\n")
        raise typer.Exit(exit_code(error)) from None
    typer.echo(
        f"{done} the log of {made.made_at}: messages {made.messages_count:,}, topics {made.topics_count:,},"
        f" streams {made.streams_count:,} ({made.size_bytes // _KIB:,} KiB, schema {made.schema_version})"
    )


class _Signalled(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """What ends the process ends the work first, which leaves nothing behind."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise _Signalled(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        # As `nohup` asks.
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_by(number: int) -> NoReturn:
    """So that whoever waits for the process sees what ended it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    raise AssertionError("a signal that ends no process")


@contextmanager
def _shown() -> Iterator["Progress"]:
    """How far it is, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _phase, _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.filesize import decimal  # noqa: PLC0415
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[size]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {
            phase: bars.add_task(text, total=None, visible=False, start=False, size="")
            for phase, text in _PHASES.items()
        }

        def show(phase: str, done: int, total: int) -> None:
            bars.start_task(tasks[phase])
            size = f"{decimal(done)} of {decimal(total)}" if total else ""
            bars.update(tasks[phase], completed=done, total=total or None, visible=True, size=size)

        yield show
