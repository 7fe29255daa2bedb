"""Chunks of NDJSON as lines, lines as messages (pure): a line's value, without the blanks around it, is the payload."""

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from bridge.errors import SerializationError
from bridge.events import (
    Steps,
    are_surely_safe,
    check_json,
    count_by_leaps,
    fault_of,
    is_well_formed,
    json_steps,
)
from bridge.limits import JSON_STEP_BYTES, NDJSON_FAULTS_TOLD, NDJSON_LINE_BYTES_MAX


class Run(NamedTuple):
    """Whole lines, one after the other.

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
    """Cuts chunks at line feeds; holds the unfinished line, and no more of it than *line_bytes_max* and a byte.

    However a body is cut into chunks, its lines are the same.
    """

    def __init__(self, *, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._line = 1
        # Grown in place: a line that comes byte by byte is not copied at each.
        self._rest = bytearray()
        self._passing = False

    @property
    def held_bytes(self) -> int:
        """Of the unfinished line."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> list[Run | LongLine]:
        """What became whole by *chunk*, in order; runs are as long as chunks are."""
        found: list[Run | LongLine] = []
        if self._passing or len(self._rest) + len(chunk) > self._line_bytes_max:
            chunk = self._end_of_line(chunk, found)
        end = chunk.rfind(b"\n") + 1
        if end:
            # Copied once, not cut off, added and taken out again.
            text = b"".join((self._rest, memoryview(chunk)[:end]))
            self._rest.clear()
            self._cut(text, found)
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
            self._cut(bytes(self._rest), found)
            self._rest.clear()
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

    def _cut(self, text: bytes, found: list[Run | LongLine]) -> None:
        first_line = self._line
        self._line += count_by_leaps(text, b"\n") + (not text.endswith(b"\n"))
        found.append(Run(first_line, self._line, text))


_Message = TypeVar("_Message")
_VALUES: Final = msgspec.json.Decoder(msgspec.Raw)
_BLANKS: Final = b" \t\r"
# Lines looked at one by one between two turns of others, 1 ms.
LINES_PER_STEP: Final = 256
# A turn for each of these would cost more than the line.
_SHORT_BYTES: Final = 1024


class LineFault(NamedTuple):
    """Why a line is no message; *reason* shows nothing of it."""

    line: int
    reason: str


class Lines(NamedTuple, Generic[_Message]):
    """What a run of lines holds.

    Attributes:
        messages: in order: the values themselves, or what they spell (`whole_messages.whole_steps`).
        numbers: of the line of each message.
        faults: of the other lines that are not blank, the first of them.
        failed: how many such lines there are.
    """

    messages: list[_Message]
    numbers: Sequence[int]
    faults: list[LineFault]
    failed: int


def too_long(line: int, *, line_bytes_max: int) -> LineFault:
    """The fault of a line longer than *line_bytes_max*."""
    return LineFault(line, f"The line is longer than {line_bytes_max} bytes.")


def line_steps(
    run: Run | LongLine, *, line_bytes_max: int, faults_told: int = NDJSON_FAULTS_TOLD
) -> Steps[Lines[bytes]]:
    """What *run* holds; every value is JSON that `events.json_steps` lets pass.

    Args:
        line_bytes_max: of a line without its end, which is a line feed, or one behind a carriage return.
        faults_told: so many are explained, the others are counted, at a tenth of the price.
    """
    if isinstance(run, LongLine):
        return Lines([], (), [too_long(run.line, line_bytes_max=line_bytes_max)][:faults_told], 1)
    plain = _plain(run, line_bytes_max)
    if plain is not None:
        return Lines(plain, range(run.first_line, run.first_line + len(plain)), [], 0)
    return (yield from _one_by_one(run, line_bytes_max, faults_told))


def _plain(run: Run, line_bytes_max: int) -> list[bytes] | None:
    """The values of lines that hold one each, 1 us a line; None where that is not plain to see."""
    text = run.text
    if len(text) > NDJSON_LINE_BYTES_MAX + JSON_STEP_BYTES:
        # A long line among them, which takes more than one turn.
        return None
    try:
        if not text.isascii():
            text.decode()
        values = _VALUES.decode_lines(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    payloads = list(map(bytes, values))
    # The decoder takes any blanks for what is between two values, and line feeds within one.
    lines = [*payloads, b""] if text.endswith(b"\n") else payloads
    if len(values) != run.end_line - run.first_line or (
        text != b"\n".join(lines) and text.removesuffix(b"\r") != b"\r\n".join(lines)
    ):
        return None
    if len(text) > line_bytes_max and max(map(len, text.split(b"\n"))) > line_bytes_max:
        return None
    return payloads if are_surely_safe(payloads) else None


def _one_by_one(run: Run, line_bytes_max: int, faults_told: int) -> Steps[Lines[bytes]]:
    payloads: list[bytes] = []
    numbers: list[int] = []
    faults: list[LineFault] = []
    failed = 0
    for number, line in enumerate(run.text.removesuffix(b"\n").split(b"\n"), start=run.first_line):
        if number % LINES_PER_STEP == 0:
            yield
        payload = line.strip(_BLANKS)
        told = len(faults) < faults_told
        fault: LineFault | None
        if len(line.removesuffix(b"\r")) > line_bytes_max:
            fault = too_long(number, line_bytes_max=line_bytes_max)
        elif not payload:
            continue
        elif not told and not is_well_formed(payload):
            failed += 1
            continue
        else:
            fault = yield from _fault_of(number, payload)
        if fault is None:
            payloads.append(payload)
            numbers.append(number)
            continue
        failed += 1
        if told:
            faults.append(fault)
    return Lines(payloads, numbers, faults, failed)


def _fault_of(number: int, payload: bytes) -> Steps[LineFault | None]:
    try:
        if len(payload) <= _SHORT_BYTES:
            check_json(payload)
        else:
            yield from json_steps(payload)
        _VALUES.decode(payload)
    except SerializationError as error:
        return LineFault(number, error.detail)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return LineFault(number, fault_of(error, written=payload).detail)
    return None
