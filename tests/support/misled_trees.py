"""Files of the embedded log whose tree of messages leads elsewhere: where its pointers to pages stand, and where each may lead.

The format is SQLite's own (https://www.sqlite.org/fileformat2.html#b_tree_pages).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import apsw

__all__ = ("PAGE", "Tree", "misled", "tree_of")

PAGE: Final = 4_096
_INNER: Final = 5


class Tree(NamedTuple):
    """
    The tree of messages.

    Attributes:
        root: the page that it begins with; pages count from 1.
        pointers: where in the file each pointer of its inner pages stands, and the page that it leads to.
    """

    root: int
    pointers: dict[int, int]


def tree_of(path: Path) -> Tree:
    """The tree in a database that was closed, which has inner pages."""
    connection = apsw.Connection(str(path))
    root: int = connection.execute("select rootpage from sqlite_schema where name = 'chunks'").get
    connection.close()
    pointers = dict(_pointers(path.read_bytes(), root))
    assert pointers, "the root has pages below it"
    return Tree(root, pointers)


def _pointers(content: bytes, page: int) -> Iterator[tuple[int, int]]:
    start = (page - 1) * PAGE
    kind, _, cells_count = struct.unpack_from(">BHH", content, start)
    if kind != _INNER:
        return
    for place in (
        *(start + cell for cell in struct.unpack_from(f">{cells_count}H", content, start + 12)),
        start + 8,
    ):
        below = int.from_bytes(content[place : place + 4])
        yield place, below
        yield from _pointers(content, below)


def misled(content: bytes, *pointers: tuple[int, int]) -> bytes:
    """*content* with other pointers: the place of each, and the page that it now leads to."""
    spoilt = bytearray(content)
    for place, page in pointers:
        spoilt[place : place + 4] = page.to_bytes(4)
    return bytes(spoilt)
