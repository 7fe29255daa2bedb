"""System calls of a running process that fail or take long, by strace's fault injection."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import program

__all__ = ("Injected", "injected", "may_inject")

_ATTACHED = b"attached"


def _refused() -> str:
    """Why no process may be traced here; empty where one may."""
    strace = program("strace")
    if strace is None:
        return "needs strace on PATH"
    tried = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here ({tried.stderr.strip()[:80]})"


#: Skips, by name, where strace is missing or forbidden.
may_inject = pytest.mark.skipif(bool(_refused()), reason=_refused())


class Injected:
    """What is injected into a process for the length of a block, and the calls that were made meanwhile."""

    def __init__(self, strace: "subprocess.Popen[bytes]", trace: Path) -> None:
        self._strace = strace
        self._trace = trace

    def calls(self) -> list[str]:
        """The calls so far, with what they gave."""
        return self._trace.read_text(errors="replace").splitlines()

    def end(self) -> None:
        """Let the process go on by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._strace.terminate()
        self._strace.wait()


@contextlib.contextmanager
def injected(pid: int, calls: str, how: str, *paths: Path) -> Iterator[Injected]:
    """
    Let system calls on some files fail.

    Args:
        calls: names, with commas in between.
        how: as strace has it: "error=EIO", "delay_enter=500000" (us); with ":when=5+" from the fifth on.
    """
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace"
        on = [argument for path in paths for argument in ("-P", str(path))]
        harm = ["-e", f"trace={calls}", "-e", f"inject={calls}:{how}"]
        strace = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(trace), "-s", "0", "-y", *on, *harm],
            stderr=subprocess.PIPE,
        )
        assert strace.stderr is not None
        told = strace.stderr.readline()
        assert _ATTACHED in told, told
        block = Injected(strace, trace)
        try:
            yield block
        finally:
            block.end()
            strace.stderr.close()
