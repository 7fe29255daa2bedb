"""How far a long command is (shell): a bar on stderr where that is a terminal, else nothing until the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Told how far it is; shows it or not."""

    def __init__(self, shown: "Progress | None", task: "TaskID | None") -> None:
        self._shown = shown
        self._task = task

    def at(self, done: int, note: str = "") -> None:
        """So much of the whole is done."""
        if self._shown is not None and self._task is not None:
            self._shown.update(self._task, completed=done, note=note)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Bar]:
    """A bar while the block runs.

    Args:
        total: None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield Bar(None, None)
        return
    from rich.console import Console  # noqa: PLC0415 (a quarter of a second)
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bar(shown, shown.add_task(what, total=total, note=""))
