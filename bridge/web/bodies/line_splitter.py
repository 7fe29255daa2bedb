"""Chunks of a body as runs of whole lines (pure)."""

from typing import NamedTuple

__all__ = ("LineSplitter", "LongLine", "Run")


class Run(NamedTuple):
    """
    Whole lines, one after the other.

    Attributes:
        first_line: number of the first, from 1.
        end_line: number of the line after the last.
        text: the lines, each with its line feed but perhaps the last of the body.
    """

    first_line: int
    end_line: int
    text: bytes


class LongLine(NamedTuple):
    """A line that is longer than allowed; what it holds was let go."""

    line: int


class LineSplitter:
    """
    Cuts chunks at line feeds; holds the unfinished line, and no more of it than *line_bytes_max* and a byte.

    However a body is cut into chunks, its lines are the same.
    """

    __slots__ = ("_line", "_line_bytes_max", "_passing", "_rest")

    def __init__(self, *, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._line = 1
        # Grown in place: a line that comes byte by byte is not copied at each.
        self._rest = bytearray()
        self._passing = False

    def feed(self, chunk: bytes) -> list[Run | LongLine]:
        """What became whole by *chunk*, in order; runs are as long as chunks are."""
        found: list[Run | LongLine] = []
        if self._passing or len(self._rest) + len(chunk) > self._line_bytes_max:
            chunk = self._end_of_line(chunk, found)
        end = chunk.rfind(b"\n") + 1
        if end:
            self._rest += chunk[:end]
            self._cut(found)
        self._rest += chunk[end:]
        if self._is_too_long(self._rest):
            self._rest.clear()
            self._passing = True
        return found

    def end(self) -> list[Run | LongLine]:
        """The last line, where no line feed ended it."""
        found: list[Run | LongLine] = []
        if self._passing:
            found.append(LongLine(self._line))
        elif self._rest:
            self._cut(found)
        return found

    def _end_of_line(self, chunk: bytes, found: list[Run | LongLine]) -> bytes:
        """Finish the line that is under way where it may be too long; what is left of *chunk*."""
        end = chunk.find(b"\n") + 1
        if not end:
            return b"" if self._passing else chunk
        if self._passing or self._is_too_long(self._rest + chunk[: end - 1]):
            found.append(LongLine(self._line))
            self._line += 1
            self._rest.clear()
            self._passing = False
            return chunk[end:]
        return chunk

    def _is_too_long(self, line: bytearray) -> bool:
        """Whether *line*, without its line feed, is; the carriage return before one belongs to the end of the line."""
        return len(line) - line.endswith(b"\r") > self._line_bytes_max

    def _cut(self, found: list[Run | LongLine]) -> None:
        text = bytes(self._rest)
        first_line = self._line
        self._line += text.count(b"\n") + (not text.endswith(b"\n"))
        self._rest.clear()
        found.append(Run(first_line, self._line, text))
