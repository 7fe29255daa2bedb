"""What a parent tells its worker."""

import os

import pytest

from bridge.config import Config, HttpConfig, IggyConfig, ObserveConfig
from bridge.workers.handover import DRAIN, Handover, read_handover, write_handover

HANDOVER = Handover(
    config=Config(
        http=HttpConfig(api_key="k" * 32, trusted_proxies=("10.0.0.0/8",), rate_limit_rps=7),
        iggy=IggyConfig(connection_string="iggy://u:p@127.0.0.1:1"),
        observe=ObserveConfig(metrics_port=9100),
    ),
    slot=1,
    count=4,
    secret=b"s" * 32,
    memory_fd=5,
    port_fds=[6, 7],
    metrics_fds=None,
)


def test_everything_arrives_as_it_was_told_and_what_follows_stays_in_the_pipe() -> None:
    out_fd, in_fd = os.pipe()
    os.write(in_fd, write_handover(HANDOVER) + DRAIN)
    assert read_handover(out_fd) == HANDOVER
    assert os.read(out_fd, 10) == DRAIN
    os.close(in_fd)
    os.close(out_fd)


@pytest.mark.parametrize("length", [0, 4, 8, 20])
def test_a_parent_that_ends_in_the_middle_is_noticed(length: int) -> None:
    out_fd, in_fd = os.pipe()
    os.write(in_fd, write_handover(HANDOVER)[:length])
    os.close(in_fd)
    with pytest.raises(EOFError):
        read_handover(out_fd)
    os.close(out_fd)


def test_all_descriptors_are_named() -> None:
    assert HANDOVER.fds == (5, 6, 7)
