"""What the workers of one bridge share (shell): one file in memory, and locks on it."""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bridge.limits import RATE_LIMIT_ADDRESSES_MAX, SHARED_TABLE_LOCK_TRIES, WORKER_FIGURES_BYTES_MAX
from bridge.policy.limit_storage import table_bytes
from bridge.telemetry.figure_slots import FigureSlots, slots_bytes

_TABLE_BYTES: Final = table_bytes(RATE_LIMIT_ADDRESSES_MAX)
# Locks need bytes to be named by, not memory: those of the tables begin beyond everything.
_LINE_LOCK: Final = 0
_LOCKS_AT: Final = 1 << 40
_LOCKS_PER_TABLE: Final = 1 << 32


def make_memory_file() -> int:
    """A file of zeros that is nowhere on a disk, where the system can; its descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bridge-workers")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class FileLocks:
    """Locks between processes, 1.2 us for taking and giving back: record locks of the kernel, which frees those of a
    process that dies, however it dies. A process never excludes itself.
    """

    def __init__(self, fd: int, at: int) -> None:
        self._fd = fd
        self._at = at

    def take(self, number: int) -> bool:
        """See `policy.limit_storage.Locks`: the event loop is here, so it never sleeps for one."""
        for _ in range(SHARED_TABLE_LOCK_TRIES):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._at + number)
            except OSError:
                # The holder may be waiting for this very core.
                os.sched_yield()
            else:
                return True
        return False

    def release(self, number: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._at + number)


class SharedMemory:
    """The parts of the file; it must stay open as long as the process lives, and open once: closing any descriptor of it
    would free all locks.

    Attributes:
        figures: what each worker tells of itself.
        failures: table of wrong keys by address.
        buckets: table of requests by address.
    """

    def __init__(self, fd: int, count: int) -> None:
        figures_bytes = slots_bytes(count, WORKER_FIGURES_BYTES_MAX)
        length = figures_bytes + 2 * _TABLE_BYTES
        if os.fstat(fd).st_size < length:
            os.ftruncate(fd, length)
        memory = memoryview(mmap.mmap(fd, length))
        tables = memory[figures_bytes:]
        self.figures = FigureSlots(memory[:figures_bytes], count)
        self.failures = tables[:_TABLE_BYTES]
        self.buckets = tables[_TABLE_BYTES:]
        self.failure_locks = FileLocks(fd, _LOCKS_AT)
        self.bucket_locks = FileLocks(fd, _LOCKS_AT + _LOCKS_PER_TABLE)
        self._fd = fd

    @contextmanager
    def line_lock(self) -> Iterator[None]:
        """Held by the thread that writes log lines: several processes' lines in one pipe must stay whole."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, _LINE_LOCK)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _LINE_LOCK)
