"""A file system of a few MiB, mounted for a test where that is allowed; what others take of it, taken and given back."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ("fill", "free_bytes", "small_disk")

_BLOCK_BYTES = 4_096


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[Path]:
    """
    *directory* as a disk of its own.

    The test is skipped where nothing may be mounted; there the same rules are held by the tests with a counted disk.
    """
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(directory)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a real full disk: no tmpfs may be mounted here ({mounted.stderr.strip()})")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def free_bytes(directory: Path) -> int:
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def fill(directory: Path) -> Path:
    """Take all that is free; the file that holds it."""
    path = directory / "others"
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * _BLOCK_BYTES)
        except OSError:
            return path
