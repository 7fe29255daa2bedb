"""Claims about the bench of attackers: its table, and that each kind of attacker does what it says to a real bridge."""

from pathlib import Path

import pytest

from tests.bench.attackers import KINDS, bad_inputs
from tests.bench.attacks import NOBODY, Figures, attacked, lag_ms, measured, table
from tests.bench.cases import EMBEDDED
from tests.bench.targets import all_targets

HELD = {"bad inputs": 0, "slow heads": 20, "slow bodies": 20, "unread answers": 20}


def scrape(*counts: int) -> str:
    bounds = ("0.001", "0.05", "+Inf")
    return "\n".join(
        f'bridge_event_loop_lag_seconds_bucket{{le="{bound}"}} {count}.0'
        for bound, count in zip(bounds, counts, strict=True)
    )


def attackers_held(port: int) -> int:
    """Open connections to *port* from addresses that normal traffic does not have (proc_net_tcp: addresses in hex, 01 is open)."""
    rows = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        local.endswith(f":{port:04X}") and not remote.startswith("0100007F") and state == "01"
        for local, remote, state in rows
    )


def test_the_lag_is_that_of_the_time_between_two_scrapes() -> None:
    assert lag_ms(scrape(0, 50, 100), scrape(100, 150, 200)) == 1.0
    assert lag_ms(scrape(100, 100, 100), scrape(190, 200, 200)) == 50.0
    assert lag_ms(scrape(0, 0, 0), scrape(0, 0, 1)) == float("inf")


def test_each_attack_is_told_beside_the_quiet_part_before_it() -> None:
    quiet = Figures(2.0, 1.0, 1.0, 0.5, 5.0, 80.0, {201: 10}, 0)
    rows = [(NOBODY, quiet), ("slow heads", quiet._replace(event_ms=3.0))]
    rows += [(NOBODY, quiet._replace(event_ms=6.0)), ("slow bodies", quiet._replace(event_ms=3.0))]
    told = table(rows).splitlines()[2:]
    assert [line.split("|")[2].strip() for line in told] == [
        "2.0 (1.00)",
        "3.0 (1.50)",
        "6.0 (1.00)",
        "3.0 (0.50)",
    ]


def test_no_two_bad_inputs_are_the_same() -> None:
    made = bad_inputs([])
    assert len(set(made.values())) == len(made) > 50


@pytest.mark.timeout(240)
def test_attackers_are_there_while_normal_traffic_is_answered(tmp_path: Path) -> None:
    with all_targets(tmp_path, wanted=EMBEDDED.__eq__, filled=1000) as (target,):
        for kind in KINDS:
            with attacked(target, kind, 20):
                figures = measured(target, 1.0)
                held = attackers_held(target.port)
            assert set(figures.answers) == {201}, (kind, figures)
            assert held >= HELD[kind], kind
            assert figures.event_ms > 0
