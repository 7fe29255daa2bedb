"""What commands say (shell): values as a table, as JSON or a line each on stdout, remarks on stderr."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from bridge.cli.client.messages import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


#: Wide enough that nothing is cut or folded where no person looks.
_PIPE_COLUMNS: Final = 100_000
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_SIZE_STEP: Final = 1024
_TEN: Final = 10


class OutputFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


def plain_text(value: Any) -> str:
    """Text as it is, nothing for None, yes and no, anything else as JSON."""
    match value:
        case None:
            return "-"
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case _:
            return orjson.dumps(value).decode()


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        key: of the value in each row.
        text: of a value.
        right: numbers stand so.
    """

    key: str
    heading: str
    text: Callable[[Any], str] = plain_text
    right: bool = False


class Output:
    """Where a command says what it found."""

    def __init__(self, form: OutputFormat) -> None:
        self.form = form
        self._console: Console | None = None
        self.is_terminal = sys.stdout.isatty()

    @property
    def console(self) -> "Console":
        """For tables and colours on stdout; colours only on a terminal, and not with NO_COLOR."""
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415 (a tenth of a second)

            self._console = Console(
                width=None if self.is_terminal else _PIPE_COLUMNS, highlight=False, soft_wrap=False
            )
        return self._console

    def rows(self, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
        if self.form is OutputFormat.JSON:
            self.json(rows)
        elif self.form is OutputFormat.NDJSON:
            for row in rows:
                self.json_line(row)
        else:
            self.console.print(table_of(columns, rows))

    def one(self, value: Mapping[str, Any], columns: Sequence[Column]) -> None:
        """One thing, a line for each of *columns* that it has; as JSON all of it."""
        if self.form is OutputFormat.TABLE:
            shown = [(column, value[column.key]) for column in columns if column.key in value]
            width = max((len(column.heading) for column, _ in shown), default=0)
            for column, each in shown:
                self.text(f"{column.heading:<{width}}  {column.text(each)}")
        elif self.form is OutputFormat.JSON:
            self.json(value)
        else:
            self.json_line(value)

    def json(self, value: Any) -> None:
        self.line(orjson.dumps(value, option=orjson.OPT_INDENT_2))

    def line(self, line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def text(self, text: str) -> None:
        """A line for people; control characters, which a terminal would obey, are spelled out."""
        self.line(printable(text).encode())

    def json_line(self, value: Any) -> None:
        self.line(orjson.dumps(value))

    def styled(self, begin: tuple[str, str], rest: str) -> None:
        """A line for people that begins in a style of its own, on a terminal."""
        if not self.is_terminal:
            self.text(begin[0] + rest)
            return
        from rich.text import Text  # noqa: PLC0415

        self.console.print(Text.assemble(begin, printable(rest)), soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark beside the result, on stderr."""
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


def table_of(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> "Table":
    """A table for people, without lines around it."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(column.text(row.get(column.key)))) for column in columns))
    return table


def count_text(value: Any) -> str:
    return "-" if value is None else f"{value:,}"


def size_text(value: Any) -> str:
    if value is None:
        return "-"
    size, step = float(value), 0
    while size >= _SIZE_STEP and step < len(_SIZES) - 1:
        size, step = size / _SIZE_STEP, step + 1
    return f"{size:.1f} {_SIZES[step]}" if step and size < _TEN else f"{size:.0f} {_SIZES[step]}"


def age_text(value: Any) -> str:
    """Seconds for people, in the largest unit that leaves no rest."""
    if value is None:
        return "-"
    for unit, seconds in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if value >= seconds and value % seconds == 0:
            return f"{value // seconds}{unit}"
    return f"{value}s"
