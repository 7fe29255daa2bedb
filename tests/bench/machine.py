"""On what it was measured, and of which tree (shell)."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from tests.bench.targets import ROOT, iggy_binary

__all__ = ("about", "changes", "changes_of", "commit", "cpu_model", "too_busy")

LIBRARIES: Final = ("aiohttp", "uvloop", "apache-iggy", "apsw", "msgspec", "orjson")
#: What a run itself writes.
RESULTS: Final = "tests/bench/results/"
#: A load average per core above which a figure says more about the machine's other work.
LOAD_PER_CORE_MAX: Final = 0.3


def cpu_model(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def too_busy(load_average: float, cores: int) -> bool:
    return load_average > LOAD_PER_CORE_MAX * cores


def changes_of(porcelain: str) -> list[str]:
    """What `git status --porcelain` tells of but results."""
    return [line for line in porcelain.splitlines() if not line[3:].startswith(RESULTS)]


def changes(*trees: Path | None) -> list[str]:
    """What makes *trees* others than their commits, so that their figures would tell of nothing that can be had again."""
    return [
        line
        for tree in trees
        if tree
        for line in changes_of(_said("git", "status", "--porcelain", tree=tree))
    ]


def commit(tree: Path) -> str:
    return _said("git", "describe", "--always", "--dirty", tree=tree)


def _said(*command: str, tree: Path = ROOT) -> str:
    """What a command prints, on whichever stream; empty where it is not there."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10, cwd=tree)
    return (done.stdout or done.stderr).rstrip()


def about() -> dict[str, Any]:
    """For the report; no name or address of the machine."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": commit(ROOT),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "memory_gib": round(memory_bytes / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "iggy": _said(iggy_binary() or "iggy-server", "-V").partition("\n")[0].removeprefix("server "),
        "load": " ".join(_said("wrk", "-v").split()[:2]),
        "load_average": round(os.getloadavg()[0], 2),
    }
