"""Standard streams that whoever starts the bridge has closed: the log goes nowhere, and into nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.process.shutdown import EXIT_UNAVAILABLE
from tests.support.bridge_process import ROOT, START_TIMEOUT_S, environment

_LOOK = """
import os
from bridge.__main__ import _open_standard_streams
_open_standard_streams()
nowhere = os.stat(os.devnull).st_rdev
os._exit(sum(1 << fd for fd in range(3) if os.fstat(fd).st_rdev == nowhere))
"""


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_bridge_without_standard_streams_starts_like_any_other(tmp_path: Path, closed: str) -> None:
    # Far enough to have its log, and an end by itself: a file stands where the directory should.
    (tmp_path / "data").write_text("")
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" -m bridge serve {closed}', sys.executable],
        env=environment({"PORT": "0", "DATA_DIR": str(tmp_path / "data")}),
        timeout=START_TIMEOUT_S,
        check=False,
        capture_output=True,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stderr) == (EXIT_UNAVAILABLE, b"")


@pytest.mark.parametrize("closed, fds", [(">&-", 0b010), ("<&- >&-", 0b011), ("<&- >&- 2>&-", 0b111)])
def test_no_file_or_socket_gets_the_number_of_a_closed_stream(closed: str, fds: int) -> None:
    # Standard input is a pipe here, so that only what was closed leads nowhere.
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, _LOOK],
        env=environment({}),
        timeout=START_TIMEOUT_S,
        check=False,
        capture_output=True,
        input=b"",
        cwd=ROOT,
    )
    assert ended.returncode == fds
