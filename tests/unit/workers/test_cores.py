"""How many workers there are."""

import pytest

from bridge.config import WORKERS_AUTO, Config, HttpConfig, IggyConfig
from bridge.limits import WORKERS_MAX
from bridge.workers.cores import quota_cores, usable_cores, worker_count

IGGY = IggyConfig(connection_string="iggy://u:p@127.0.0.1:1")


def test_a_number_is_that_many() -> None:
    assert worker_count(Config(http=HttpConfig(workers=3), iggy=IGGY)) == 3
    assert worker_count(Config()) == 1


def test_auto_is_one_on_the_embedded_log_and_one_for_each_core_on_iggy() -> None:
    auto = HttpConfig(workers=WORKERS_AUTO)
    assert worker_count(Config(http=auto)) == 1
    assert worker_count(Config(http=auto, iggy=IGGY)) == min(WORKERS_MAX, usable_cores())


@pytest.mark.parametrize(
    "text, cores",
    [
        ("max 100000\n", None),
        ("50000 100000\n", 1),
        ("200000 100000\n", 2),
        ("250000 100000", 3),
        ("", None),
        ("1 0", None),
        ("words", None),
    ],
)
def test_a_container_s_quota_is_rounded_up_to_whole_cores(text: str, cores: int | None) -> None:
    assert quota_cores(text) == cores
