"""What a process and its children cost, as Linux tells it under /proc (shell)."""

import os
from pathlib import Path
from typing import Final

__all__ = ("cpu_s", "cpu_ticks", "forget_peak", "peak_kib", "peak_mib", "rss_kib")

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
#: Writing this to `clear_refs` makes the peak of the resident set start anew (proc(5)).
_FORGET_PEAK: Final = "5"


def cpu_ticks(stat: str) -> int:
    """User and system time out of `/proc/<pid>/stat`; the name in it may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def peak_kib(status: str) -> int:
    """`VmHWM` out of `/proc/<pid>/status`."""
    return int(status.partition("VmHWM:")[2].split()[0])


def _family(pid: int) -> list[int]:
    children = [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in _family(child))]


def cpu_s(pid: int) -> float:
    """CPU seconds of *pid* and its living children since they began."""
    return sum(cpu_ticks(Path(f"/proc/{one}/stat").read_text()) for one in _family(pid)) / _TICKS_PER_S


def peak_mib(pid: int) -> float:
    """The largest resident set since `forget_peak`; over a family, the sum of each one's largest."""
    return sum(peak_kib(Path(f"/proc/{one}/status").read_text()) for one in _family(pid)) / 1024


def forget_peak(pid: int) -> None:
    for one in _family(pid):
        Path(f"/proc/{one}/clear_refs").write_text(_FORGET_PEAK)


def rss_kib(pid: int) -> int:
    """The resident set of *pid* and its living children as it is now."""
    statuses = [Path(f"/proc/{one}/status").read_text() for one in _family(pid)]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses)
