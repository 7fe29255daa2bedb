"""Programs of others that some tests need: found on PATH, and named where they are missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TIMEOUT_S = 120.0


def program(name: str) -> str | None:
    """Where it is: on PATH, or where Debian keeps what is for root."""
    return shutil.which(
        name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin"))
    )


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips, and says which of them is not here."""
    missing = [name for name in names if program(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)} on PATH")


def checked(*command: str | Path, cwd: Path | None = None, stdin: bytes | None = None) -> str:
    """What it writes to both outputs; that it ends with 0 is claimed."""
    name, *arguments = map(str, command)
    done = subprocess.run(
        [program(name) or name, *arguments],
        cwd=cwd,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, output
    return output
