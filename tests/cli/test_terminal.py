"""What stands on a terminal, and what does not stand elsewhere."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import ROOT

ENOUGH_S = 120.0
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?3[0-8](?:;[0-9;]*)?m")


def on_terminal(cli: Cli, *arguments: str, **environ: str) -> str:
    """All that a command writes to a terminal of 80 columns."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (25, 80))
    with subprocess.Popen(
        [sys.executable, "-m", "bridge", *arguments],
        env=cli.environ({"TERM": "xterm-256color", **environ}),
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        cwd=ROOT,
    ) as running:
        os.close(its)
        written = b""
        try:
            while some := os.read(ours, 65536):
                written += some
        except OSError:
            # The last of its ends was closed.
            pass
        assert running.wait(ENOUGH_S) == 0, written
    os.close(ours)
    return written.decode()


def test_messages_have_colours_on_a_terminal_but_for_who_wants_none(cli: Cli, topic: str) -> None:
    cli.json("pub", "-t", topic, "hello")
    shown = on_terminal(cli, "tail", "-t", topic)
    assert COLOUR.search(shown)
    assert re.fullmatch(r"0:0  [0-9:.]{12}  hello\r\n", ESCAPE.sub("", shown))
    assert not COLOUR.search(on_terminal(cli, "tail", "-t", topic, NO_COLOR="1"))
    assert "\x1b" not in cli("tail", "-t", topic).stdout


def test_a_bar_goes_on_while_a_file_is_sent_and_is_gone_at_the_end(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    path.write_text("".join(f"{number}\n" for number in range(3_000)))
    shown = ESCAPE.sub("", on_terminal(cli, "pub", "-t", topic, "-F", str(path)))
    assert "Sending" in shown
    assert "3,000 lines" in shown
    assert "STORED      3,000" in shown
    done = cli("pub", "-t", topic, "-F", str(path))
    assert (done.returncode, done.stderr) == (0, "")


def test_top_takes_the_screen_and_gives_it_back(cli: Cli) -> None:
    shown = on_terminal(cli, "top", "-c", "1", "-i", "0.2")
    assert "\x1b[?1049h" in shown
    assert "\x1b[?1049l" in shown
    assert "requests/s" in shown


def test_the_doctor_says_in_colours_how_it_is(cli: Cli, tmp_path: Path) -> None:
    shown = on_terminal(cli, "doctor", BRIDGE_URL="", PORT="0", DATA_DIR=str(tmp_path))
    assert COLOUR.search(shown)
    assert "OK    configuration Every setting can be used." in ESCAPE.sub("", shown)
