"""What SQLite does not say of a write-ahead log: that it dropped commits which were on the disk (shell).

SQLite ends the log at the first frame whose checksum does not hold, since a power cut leaves such a frame in the commit that
was being written. But each commit is synced before the next one begins: where another commit follows the broken one, the
broken one had been acknowledged, and it was not a power cut that broke it. The format is SQLite's own
(https://www.sqlite.org/fileformat2.html#walformat). Only frame headers are read, and only where the log goes on after its end.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from bridge.limits import LOCAL_PAGE_BYTES

_HEADER: Final = struct.Struct(">IIII8sII")
_FRAME: Final = struct.Struct(">II8sII")
# The last bit: words of checksums are big-endian.
_MAGICS: Final = (0x377F0682, 0x377F0683)
_VERSION: Final = 3_007_000

_Sums: TypeAlias = tuple[int, int]


class _Frame(NamedTuple):
    """Header of a frame: *commits* is True for the last one of a transaction, *salts* tell its generation."""

    begin: bytes
    commits: bool
    salts: bytes
    sums: _Sums


def lost_commits(path: Path, frames_count: int) -> bool:
    """Whether a write-ahead log of which SQLite took *frames_count* frames held commits after them that were synced.

    The last commit of all cannot be told from one that a power cut broke.

    Raises:
        OSError: if the file cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        magic, version, page_bytes, _, salts, *sums = _HEADER.unpack(header)
        whole = magic in _MAGICS and (version, page_bytes) == (_VERSION, LOCAL_PAGE_BYTES)
        whole = whole and _summed(header[:24], (0, 0), magic) == tuple(sums)
        if whole and frames_count == 0 and _first_commit_is_whole(file, salts, (sums[0], sums[1]), magic):
            # Begun anew by a process whose other readers are still there: all of it is in the database.
            return False
        if not whole:
            generations = Counter(frame.salts for frame in _frames(file, 0))
            salts = generations.most_common(1)[0][0] if generations else b""
        after = (frame for frame in _frames(file, frames_count) if frame.salts == salts)
        return any(frame.commits for frame in after) and next(after, None) is not None


def _frames(file: BinaryIO, start: int) -> Iterator[_Frame]:
    size = _FRAME.size + LOCAL_PAGE_BYTES
    end = os.fstat(file.fileno()).st_size
    for position in range(_HEADER.size + start * size, end - size + 1, size):
        file.seek(position)
        header = file.read(_FRAME.size)
        _, commit, salts, *sums = _FRAME.unpack(header)
        yield _Frame(header[:8], commit != 0, salts, (sums[0], sums[1]))


def _first_commit_is_whole(file: BinaryIO, salts: bytes, sums: _Sums, magic: int) -> bool:
    for frame in _frames(file, 0):
        sums = _summed(frame.begin + file.read(LOCAL_PAGE_BYTES), sums, magic)
        if frame.salts != salts or frame.sums != sums:
            return False
        if frame.commits:
            return True
    return False


def _summed(content: bytes, sums: _Sums, magic: int) -> _Sums:
    """SQLite's checksum over *content*, on top of that of what stands before it."""
    first, second = sums
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
