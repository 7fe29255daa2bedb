"""How many workers there are (shell)."""

import os
from math import ceil
from pathlib import Path

from bridge.config import WORKERS_AUTO, Config
from bridge.limits import WORKERS_MAX

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def worker_count(config: Config) -> int:
    """Workers of this configuration; `auto` is one for each usable core, and one where the log has one writer."""
    if config.http.workers != WORKERS_AUTO:
        return config.http.workers
    return 1 if config.iggy.connection_string is None else min(WORKERS_MAX, usable_cores())


def usable_cores() -> int:
    """Cores that this process may run on, at most what its container's quota comes to, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = quota_cores(_QUOTA.read_text())
    except OSError:
        return cores
    return cores if quota is None else min(cores, quota)


def quota_cores(text: str) -> int | None:
    """Cores of a `cpu.max` file (control groups, version 2), at least one; None where it sets no quota."""
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return max(1, ceil(int(quota) / int(period)))
