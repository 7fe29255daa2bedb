"""What the end of a terminal does to a bridge: a drain like any other, or nothing under nohup."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.bridge_process import ROOT, START_TIMEOUT_S, BridgeProcess, environment, get

#: Takes its standard input, a terminal, for its own, as a shell has it.
ON_A_TERMINAL: Final = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from bridge.__main__ import main; main()"
)
UNDER_NOHUP: Final = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from bridge.__main__ import main; main()"
)


def port_told_by(terminal: int) -> int:
    """The port of the bridge that logs to *terminal*, once it is ready."""
    told = b""
    while b'"event":"ready"' not in told:
        told += os.read(terminal, 65536)
    return int(told.split(b'"port":')[1].split(b",")[0])


def wait_until_nobody_is_let_in(port: int) -> None:
    """A port that is being closed resets who stands in its queue, and refuses all who come after."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection(("127.0.0.1", port)).close()


def test_when_its_terminal_goes_a_request_that_was_begun_is_answered_and_the_bridge_ends_with_0(
    tmp_path: Path,
) -> None:
    terminal, inside = os.openpty()
    bridge = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "serve"],
        env=environment({"PORT": "0", "DATA_DIR": str(tmp_path), "SHUTDOWN_GRACE_SECS": "30"}),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        cwd=ROOT,
    )
    os.close(inside)
    try:
        port = port_told_by(terminal)
        with socket.create_connection(("127.0.0.1", port)) as client:
            body = b'{"name":"begun-on-a-terminal"}'
            head = f"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body[:5])
            while b"in_flight 2.0" not in get(port, "/metrics")[1]:
                pass
            os.close(terminal)
            terminal = -1
            wait_until_nobody_is_let_in(port)
            client.sendall(body[5:])
            assert client.recv(65536).startswith(b"HTTP/1.1 201 ")
        assert bridge.wait(START_TIMEOUT_S) == 0
    finally:
        if terminal >= 0:
            os.close(terminal)
        bridge.kill()
        bridge.wait(START_TIMEOUT_S)


def test_under_nohup_a_hangup_is_none_of_its_business(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, code=UNDER_NOHUP) as bridge:
        port = bridge.started()
        bridge.signal(signal.SIGHUP)
        assert get(port, "/ready")[0] == 200
        bridge.signal()
        assert bridge.ended() == 0
    assert [line["name"] for line in bridge.lines if line["event"] == "signal"] == ["SIGTERM"]
