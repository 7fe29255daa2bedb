"""Space for the embedded log: what it may take of its disk, and what it keeps back to be able to leave a full one (shell).

A database in WAL mode needs space twice for a message: in the write-ahead log when it is committed, in the database when
it is moved there. If the second is not to be had, the write-ahead log can never begin anew, and nothing more is written,
not even what would free space. So:

- The database may only grow (`max_page_count`) as far as the disk takes both. A log that filled its disk by itself then
  deletes without any space: the write-ahead log begins anew within the bytes that its file has.
- What other programs take, or a quota that no figure tells of, is made good by a reserve: a file that is removed when a
  checkpoint, a deletion or the start finds no space. While it is not whole again the database does not grow.

The file never shrinks; what is deleted is used again by what is written later.
"""

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import apsw

from bridge import limits

RESERVE_NAME: Final = "reserve"
# What a page costs in the write-ahead log beside itself.
_FRAME_HEADER_BYTES: Final = 24
# SQLite's own largest number of pages.
_PAGES_MAX: Final = 0xFFFFFFFE
# Some file systems, network ones above all, tell nothing; then errors are all there is to go by.
_UNKNOWN_BYTES: Final = 1 << 62
# The reserve is taken in so many parts, so that as much of it is there as the disk gives.
_RESERVE_PARTS: Final = 8


class Room(Protocol):
    """Of `os.statvfs_result` what is looked at."""

    @property
    def f_frsize(self) -> int: ...
    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...


StatVfs = Callable[[Path], Room]


def growth_bytes(free_bytes: int, *, wal_bytes: int, owed_bytes: int, spare_bytes: int) -> int:
    """By how much the database may grow, so that whatever is committed can be moved into it.

    Args:
        free_bytes: of the disk.
        wal_bytes: of the write-ahead log's file, where they can be written over.
        owed_bytes: committed, and still to be moved beyond the database's end.
        spare_bytes: which the write-ahead log must have at any time, in its file or on the disk.
    """
    usable = free_bytes - owed_bytes - max(0, spare_bytes - wal_bytes)
    # All of it while the growth fits what the write-ahead log has already; beyond that each page is needed twice.
    return max(0, min(usable, (usable + wal_bytes) // 2))


def disk_bytes(directory: Path, statvfs: StatVfs) -> tuple[int, int]:
    """Bytes of the disk under *directory* and free ones; both endless where the file system does not tell."""
    try:
        room = statvfs(directory)
    except OSError:
        return _UNKNOWN_BYTES, _UNKNOWN_BYTES
    if not room.f_blocks:
        return _UNKNOWN_BYTES, _UNKNOWN_BYTES
    return room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize


class Space:
    """The disk under one log; used by one thread at a time.

    Attributes:
        reserve_bytes: what is kept back: `LOCAL_RESERVE_BYTES`, less on a small disk.
    """

    def __init__(self, directory: Path, database: str, *, pages_max: int | None, statvfs: StatVfs) -> None:
        self._directory = directory
        self._database = directory / database
        self._wal = directory / f"{database}-wal"
        self._reserve = directory / RESERVE_NAME
        self._pages_max = _PAGES_MAX if pages_max is None else pages_max
        self._statvfs = statvfs
        disk_bytes, _ = self._disk()
        # In parts of whole pages.
        unit = _RESERVE_PARTS * limits.LOCAL_PAGE_BYTES
        share = min(disk_bytes, _file_bytes_max()) // limits.LOCAL_RESERVE_SHARE
        self.reserve_bytes = min(limits.LOCAL_RESERVE_BYTES, share) // unit * unit

    @property
    def wal_pages(self) -> int:
        """Pages in the write-ahead log's file."""
        return _size(self._wal) // (limits.LOCAL_PAGE_BYTES + _FRAME_HEADER_BYTES)

    @property
    def wal_bytes_max(self) -> int:
        """What the write-ahead log's file may keep once it begins anew."""
        return min(limits.LOCAL_WAL_BYTES_MAX, 2 * self.reserve_bytes)

    @property
    def checkpoint_pages(self) -> int:
        """Pages of the write-ahead log before they are moved: what they owe must fit the reserve."""
        return min(limits.LOCAL_CHECKPOINT_PAGES, self.reserve_bytes // 2 // limits.LOCAL_PAGE_BYTES)

    @property
    def proof_bytes(self) -> int:
        """What a log that was full must be able to write before it takes messages again."""
        return max(limits.LOCAL_PROBE_BYTES, self.reserve_bytes // 4)

    @property
    def free_bytes(self) -> int:
        return self._disk()[1]

    def measured(self) -> dict[str, int]:
        """Bytes by part, for people: its files, and what is free where the file system tells. Any thread may ask."""
        sizes = {
            "database": _size(self._database),
            "write_ahead_log": _size(self._wal),
            "reserve": _size(self._reserve),
        }
        free_bytes = self.free_bytes
        return sizes if free_bytes == _UNKNOWN_BYTES else {**sizes, "free": free_bytes}

    def release(self) -> bool:
        """Give the reserve up; whether there was any to give."""
        held = _size(self._reserve) > 0
        with suppress(OSError):
            self._reserve.unlink()
        return held

    def lift(self, connection: apsw.Connection) -> None:
        """Let the database grow: what frees space may need a page for it."""
        connection.pragma("max_page_count", self._pages_max)

    def adjust(self, connection: apsw.Connection, *, unmoved_pages: int) -> None:
        """Take the reserve again as far as there is space for it, and say how far the database may grow.

        Args:
            unmoved_pages: of the write-ahead log, which must stay where they are.
        """
        wal_bytes = self._wal_bytes(unmoved_pages)
        whole = self._restore(spare_bytes=max(0, self.reserve_bytes - wal_bytes))
        pages = connection.pragma("page_count")
        growth = 0
        if whole:
            owed_bytes = pages * limits.LOCAL_PAGE_BYTES - _size(self._database)
            growth = growth_bytes(
                self.free_bytes,
                wal_bytes=wal_bytes,
                owed_bytes=max(0, owed_bytes),
                spare_bytes=self.reserve_bytes,
            )
        pages_max = min(
            self._pages_max,
            pages + growth // limits.LOCAL_PAGE_BYTES,
            _file_bytes_max() // limits.LOCAL_PAGE_BYTES,
        )
        connection.pragma("max_page_count", max(pages, pages_max))

    def may_hold(self, connection: apsw.Connection, size_bytes: int) -> bool:
        """Whether the database has so much room, free in its file or to grow into."""
        pages: int = connection.pragma("max_page_count") - connection.pragma("page_count")
        pages += connection.pragma("freelist_count")
        return pages * limits.LOCAL_PAGE_BYTES >= size_bytes

    def wal_is_short(self, connection: apsw.Connection, *, unmoved_pages: int) -> bool:
        """Whether there is room in the database, and only the write-ahead log has none to bring anything there."""
        freed_pages: int = connection.pragma("freelist_count")
        return (
            freed_pages * limits.LOCAL_PAGE_BYTES >= self.proof_bytes
            and self._wal_bytes(unmoved_pages) + self.free_bytes < self.reserve_bytes
        )

    def _wal_bytes(self, unmoved_pages: int) -> int:
        unmoved_bytes = unmoved_pages * (limits.LOCAL_PAGE_BYTES + _FRAME_HEADER_BYTES)
        return max(0, _size(self._wal) - unmoved_bytes)

    def _restore(self, *, spare_bytes: int) -> bool:
        """Take what is missing of the reserve while *spare_bytes* stay free; whether it is whole."""
        part_bytes = self.reserve_bytes // _RESERVE_PARTS
        held_bytes = _size(self._reserve)
        try:
            while held_bytes < self.reserve_bytes:
                if self.free_bytes - part_bytes < spare_bytes:
                    return False
                with self._reserve.open("ab", buffering=0) as file:
                    # Noise: a file system that compresses, or leaves zeros out, would keep nothing back.
                    file.write(os.urandom(part_bytes))
                held_bytes = _size(self._reserve)
        except OSError:
            # The figures are wrong: somebody else was faster, or there is a quota. What must stay free is given back.
            self._cut(spare_bytes)
            return False
        return True

    def _cut(self, size_bytes: int) -> None:
        with suppress(OSError):
            os.truncate(self._reserve, max(0, _size(self._reserve) - size_bytes))

    def _disk(self) -> tuple[int, int]:
        return disk_bytes(self._directory, self._statvfs)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _file_bytes_max() -> int:
    """The largest file that this process may write."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return _UNKNOWN_BYTES if soft == resource.RLIM_INFINITY else soft
