"""The file that records go to (shell): one thread writes and syncs them, so that no request waits for the disk."""

import fcntl
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Protocol

import structlog

from bridge.audit.chain import RECORD_BEGIN, Chain, resumed
from bridge.errors import StartupError
from bridge.limits import (
    AUDIT_FILE_BYTES_MAX,
    AUDIT_GATHER_S,
    AUDIT_LINE_BYTES_MAX,
    AUDIT_RETRY_S,
    AUDIT_WAITING_MAX,
    LOG_FIELD_CHARS_MAX,
)
from bridge.whole_files import sync_directory

_log = structlog.get_logger("bridge.audit")
_MODE: Final = 0o600


class AuditObserver(Protocol):
    """Told from the writing thread."""

    def written(self, records: int) -> None: ...
    def failed(self) -> None: ...


class AuditTrail:
    """The audit log of one process.

    A disk that fails is tried again for as long as the process lives; meanwhile `is_failing`, and whoever asks for a change is
    to be refused. What cannot be kept is counted, and the chain tells how many records it lacks.

    Args:
        path: of the file; nobody else writes to it. One that grew too long gets the numbers of its records into its name.
        now: the time of a record as text.

    Raises:
        StartupError: if the file cannot be written, another process has it, or its end is no record.
    """

    def __init__(
        self,
        path: Path,
        observer: AuditObserver,
        now: Callable[[], str],
        *,
        file_bytes_max: int = AUDIT_FILE_BYTES_MAX,
        waiting_max: int = AUDIT_WAITING_MAX,
    ) -> None:
        self._path = path
        self._observer = observer
        self._now = now
        self._file_bytes_max = file_bytes_max
        self._waiting_max = waiting_max
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._lost = 0
        self._failing = False
        self._wake = Event()
        self._closing = Event()
        try:
            self._fd, self._size_bytes, self._chain = _opened(path)
        except BlockingIOError:
            raise StartupError("The audit log is in use by another process.") from None
        except OSError as error:
            raise StartupError(f"The audit log cannot be written: {error.strerror}.") from None
        except ValueError as error:
            raise StartupError(
                f"The audit log cannot be continued: {error}; move it away and keep it."
            ) from None
        _log.info("audit_log_open", seq=self._chain.seq, head=self._chain.head)
        self._thread = Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    @property
    def is_failing(self) -> bool:
        """Whether the disk does not take records, or takes them too slowly."""
        return self._failing or len(self._waiting) >= self._waiting_max

    def write(self, members: Mapping[str, Any]) -> None:
        """Take a record of *members* at this time; returns at once. Long texts are cut."""
        if len(self._waiting) >= self._waiting_max:
            self._lost += 1
            return
        for each in members.values():
            if each.__class__ is str and not (each.isascii() and len(each) <= LOG_FIELD_CHARS_MAX):
                members = {name: _bounded(text) for name, text in members.items()}
                break
        self._waiting.append({"time": self._now(), **members})
        # One that is awake, and has not looked yet, will see this record as well.
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Write what waits, for *timeout_s* at most, and let go of the file."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        _log.info(
            "audit_log_closed", seq=self._chain.seq, head=self._chain.head, not_written=len(self._waiting)
        )

    def _run(self) -> None:
        while True:
            self._wake.wait()
            closing = self._closing.is_set()
            self._wake.clear()
            self._write_waiting()
            if closing and not self._waiting and not self._lost:
                os.close(self._fd)
                return
            # What comes meanwhile shares a sync.
            self._closing.wait(AUDIT_GATHER_S)
            if self._closing.is_set():
                self._wake.set()
                if self._failing:
                    os.close(self._fd)
                    return

    def _write_waiting(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._waiting.append({"time": self._now(), "action": "records lost", "records": lost})
        count = len(self._waiting)
        while count and not self._written(count):
            if self._closing.is_set():
                return
            # The end is a reason to try once more.
            self._closing.wait(AUDIT_RETRY_S)

    def _written(self, count: int) -> bool:
        chain = Chain(self._chain.seq, self._chain.head)
        # A copy, since more come meanwhile.
        data = b"".join(map(chain.record, list(self._waiting)[:count]))
        try:
            if self._size_bytes and self._size_bytes + len(data) > self._file_bytes_max:
                self._begin_another()
            _write_synced(self._fd, data)
        except OSError as error:
            self._fails(error)
            return False
        if self._failing:
            self._failing = False
            _log.warning("audit_log_goes_on", seq=chain.seq)
        self._chain = chain
        self._size_bytes += len(data)
        for _ in range(count):
            self._waiting.popleft()
        self._observer.written(count)
        return True

    def _fails(self, error: OSError) -> None:
        with suppress(OSError):
            # A record of which the disk took a part must not stay before the whole one. After a failed sync as well: the kernel
            # has given those pages up, so that they are written anew before the next one.
            os.ftruncate(self._fd, self._size_bytes)
        if not self._failing:
            self._failing = True
            _log.error("audit_log_fails", error=error.strerror, effect="changes are refused")
        self._observer.failed()

    def _begin_another(self) -> None:
        path = self._path
        path.rename(path.with_name(f"{path.stem}-{self._chain.seq:018d}{path.suffix}"))
        fd = _open_locked(path)
        os.close(self._fd)
        self._fd, self._size_bytes = fd, 0
        sync_directory(path.parent)
        _log.info("audit_log_begun", seq=self._chain.seq, head=self._chain.head)


def older_files(path: Path) -> list[Path]:
    """The files that grew too long to go on with, the oldest first."""
    return sorted(path.parent.glob(f"{escape(path.stem)}-{'[0-9]' * 18}{escape(path.suffix)}"))


def _opened(path: Path) -> tuple[int, int, Chain]:
    """The file, its size, and the chain that goes on in it."""
    fd = _open_locked(path)
    try:
        size_bytes = os.fstat(fd).st_size
        begin = max(0, size_bytes - AUDIT_LINE_BYTES_MAX)
        tail = os.pread(fd, AUDIT_LINE_BYTES_MAX, begin) if size_bytes else b""
        whole, newline, torn = tail.rpartition(b"\n")
        # All is judged before anything is cut: AUDIT_FILE may name something else by mistake.
        chain = resumed(_last_line(whole + newline)) if newline else _begun(path, torn, is_all=not begin)
        if torn:
            # The end of a record that the machine did not live to write; nobody was told that it is there.
            os.ftruncate(fd, size_bytes - len(torn))
            _log.warning("audit_log_torn", cut_bytes=len(torn))
        return fd, size_bytes - len(torn), chain
    except BaseException:
        os.close(fd)
        raise


def _begun(path: Path, torn: bytes, *, is_all: bool) -> Chain:
    """The chain that goes on in a file with no more than a beginning of its first record, or nothing."""
    # A disk without power keeps the first bytes of a record, or room for it: zeros.
    begun = torn.startswith(RECORD_BEGIN) or RECORD_BEGIN.startswith(torn) or not torn.strip(b"\0")
    if not (begun and is_all):
        raise ValueError("it holds no record")
    older = older_files(path)
    return resumed(_last_line(older[-1].read_bytes())) if older else Chain()


def _last_line(data: bytes) -> bytes:
    return data[data.rfind(b"\n", 0, len(data) - 1) + 1 :]


def _open_locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _write_synced(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.fdatasync(fd)


def _bounded(value: object) -> object:
    # What is no Unicode text cannot be written as JSON, and must not end the thread that writes all others.
    if isinstance(value, str):
        return value[:LOG_FIELD_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
    return value
