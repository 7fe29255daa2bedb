"""Taking ports."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bridge.errors import StartupError
from bridge.process.ports import take_ports


@contextmanager
def taken(count: int, port: int = 0) -> Iterator[list[list[socket.socket]]]:
    shares = take_ports("127.0.0.1", port, count)
    try:
        yield shares
    finally:
        for share in shares:
            for each in share:
                each.close()


def test_every_share_listens_on_the_same_port_and_gets_connections() -> None:
    with taken(2) as shares:
        ports = {each.getsockname()[1] for share in shares for each in share}
        assert len(ports) == 1
        accepted = [0, 0]
        for _ in range(64):
            with socket.create_connection(("127.0.0.1", *ports)):
                for number, (each,) in enumerate(shares):
                    try:
                        each.accept()[0].close()
                    except BlockingIOError:
                        continue
                    accepted[number] += 1
        assert sum(accepted) == 64
        assert min(accepted) > 0


def test_a_second_bridge_of_the_same_user_is_not_let_in() -> None:
    with taken(2) as shares:
        port = shares[0][0].getsockname()[1]
        for count in (1, 2):
            with pytest.raises(StartupError, match=f"port {port} of 127.0.0.1 is taken"):
                take_ports("127.0.0.1", port, count)


def test_a_name_that_is_no_host_is_told() -> None:
    with pytest.raises(StartupError, match="no address of this machine"):
        take_ports("no.such.host.invalid", 0, 1)


def test_nothing_stays_open_where_a_port_could_not_be_taken() -> None:
    with taken(1) as shares:
        port = shares[0][0].getsockname()[1]
        with pytest.raises(StartupError):
            take_ports("127.0.0.1", port, 3)
    with taken(3, port) as again:
        assert len(again) == 3
