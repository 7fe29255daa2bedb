"""How far a long command is (shell): a bar on stderr where that is a terminal, else nothing until the end."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

ShowProgress: TypeAlias = Callable[[int, str], None]
"""Told how much of the whole is done, and the same in words."""


@contextmanager
def bar(what: str, total: int | None) -> Iterator[ShowProgress]:
    """A bar while the block runs.

    Args:
        total: None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _note: None
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
        task = shown.add_task(what, total=total, note="")
        yield lambda done, note: shown.update(task, completed=done, note=note)
