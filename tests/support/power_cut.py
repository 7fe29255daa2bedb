"""
What a power cut may leave of files that a process was writing: built from its system calls.

A file as it was at its last sync is there. Of what was written after that, each sector (512 bytes) or page (4,096 bytes)
is as it was at any moment since, independently of the others; so is the file's size. A part of a file that was grown and
never written holds zeros or rubbish. A name that was made or removed is kept only once its directory is synced.
"""

import random
from dataclasses import dataclass, field
from pathlib import PurePath

from tests.support.syscalls import Call

__all__ = ("Platter",)

SECTOR = 512
_SECTORS_OF_A_PAGE = 8


@dataclass
class _Inode:
    """
    One file.

    Attributes:
        kept: as of its last sync; there for sure.
        now: as the process sees it.
        versions: sector -> its contents since the last sync, each with the number of the call that made it.
        sizes: the file's sizes since the last sync, by the number of the call.
        cuts: (number of a call that made the file shorter, first sector that it took).
    """

    kept: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    versions: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self.now):
            self.now.extend(bytes(end - len(self.now)))
        self.now[offset:end] = data
        self._changed(offset, end)

    def truncate(self, size: int) -> None:
        before = len(self.now)
        if size < before:
            # What is cut off vanishes with the file's size, all at once: that is one record of the file system's journal.
            self.cuts.append((len(self.sizes) + 1, -(-size // SECTOR)))
            del self.now[size:]
        else:
            self.now.extend(bytes(size - before))
        self._changed(min(size, before), max(size, before))

    def _changed(self, start: int, end: int) -> None:
        self.sizes.append(len(self.now))
        moment = len(self.sizes)
        for sector in range(start // SECTOR, -(-end // SECTOR)):
            content = bytes(self.now[sector * SECTOR : (sector + 1) * SECTOR])
            self.versions.setdefault(sector, []).append((moment, content))

    def sync(self) -> None:
        self.kept = bytes(self.now)
        self.versions.clear()
        self.sizes.clear()
        self.cuts.clear()

    def left(self, rng: random.Random) -> bytes:
        """What a power cut may leave of it."""
        last = len(self.sizes)
        if not last:
            return self.kept
        size_moment, moments = _moments(rng, last)
        size = self.sizes[size_moment - 1] if size_moment else len(self.kept)
        found = bytearray(self.kept[:size])
        grown = size - len(found)
        found.extend(rng.randbytes(grown) if rng.random() < 0.5 else bytes(grown))
        for sector, versions in self.versions.items():
            moment = moments(sector)
            for cut, first in self.cuts:
                if sector >= first:
                    moment = max(moment, cut) if size_moment >= cut else min(moment, cut - 1)
            content = next((each for made, each in reversed(versions) if made <= moment), None)
            start = sector * SECTOR
            if content is None or start >= size:
                continue
            found[start : start + SECTOR] = content.ljust(SECTOR, b"\0")
        return bytes(found[:size])


class _Moments:
    """Up to which call each sector has reached the disk; sectors of one unit together."""

    def __init__(self, rng: random.Random, last: int, sectors_of_a_unit: int, kind: str) -> None:
        self._rng = rng
        self._last = last
        self._sectors = sectors_of_a_unit
        self._kind = kind
        self._prefix = rng.randint(0, last)
        self._share = rng.random()
        self._known: dict[int, int] = {}

    def __call__(self, sector: int) -> int:
        return self._known.setdefault(sector // self._sectors, self._chosen())

    def _chosen(self) -> int:
        match self._kind:
            case "prefix":
                return self._prefix
            case "torn":
                return min(self._last, self._prefix + (self._rng.random() < 0.5))
            case "some":
                return self._last if self._rng.random() < self._share else 0
            case _:
                return self._rng.randint(0, self._last)


def _moments(rng: random.Random, last: int) -> tuple[int, _Moments]:
    kind = rng.choice(("prefix", "torn", "some", "any"))
    moments = _Moments(rng, last, rng.choice((1, _SECTORS_OF_A_PAGE)), kind)
    return (moments(-1) if rng.random() < 0.5 else rng.randint(0, last)), moments


class Platter:
    """The files of one directory, by their names; each call that a process makes is told by `apply`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._now: dict[str, _Inode] = {}
        # What each name was since the last sync of the directory, beginning with what it is for sure.
        self._names: dict[str, list[_Inode | None]] = {}

    def apply(self, call: Call) -> None:
        if call.path == self._directory:
            if call.name == "sync" and call.done:
                self._names = {name: [inode] for name, inode in self._now.items()}
            return
        name = PurePath(call.path).name
        match call.name:
            case "open":
                if name not in self._now:
                    self._name(name, _Inode())
            case "unlink":
                if name in self._now:
                    self._name(name, None)
            case "sync":
                if call.done:
                    self._now[name].sync()
            case "truncate":
                self._now[name].truncate(call.offset or 0)
            case _:
                inode = self._now[name]
                inode.write(len(inode.now) if call.offset is None else call.offset, call.data)

    def _name(self, name: str, inode: _Inode | None) -> None:
        self._names.setdefault(name, [None]).append(inode)
        if inode is None:
            del self._now[name]
        else:
            self._now[name] = inode

    def left(self, rng: random.Random) -> dict[str, bytes]:
        """One of the states in which a power cut at this moment may leave the directory: name -> content."""
        found = {}
        for name, inodes in self._names.items():
            inode = rng.choice(inodes)
            if inode is not None:
                found[name] = inode.left(rng)
        return found
