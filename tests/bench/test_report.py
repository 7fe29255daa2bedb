"""Claims about what the bench makes of its figures (pure)."""

from pathlib import Path

import pytest

from tests.bench.cases import BARE, BEFORE, EMBEDDED, IGGY, IGGY_HTTP, SDK, case_named
from tests.bench.floors import floors
from tests.bench.report import performance_part, read, terminal, write
from tests.bench.results import Results, Run
from tests.bench.samples import Spread, percentile, ratios, report_line, spread
from tests.bench.tables import bulk, changes, fan_out, instructions, rates, table, told, verdict, waits

OURS = IGGY["replicated"]
ABOUT = {
    "cores": 2,
    "cpu": "a <CPU>",
    "memory_gib": 4.0,
    "system": "Linux",
    "python": "3.11",
    "libraries": {"aiohttp": "3"},
    "iggy": "0.9.0",
    "load": "wrk",
    "load_average": 0.1,
    "commit": "abc",
    "time": "2026-01-01T00:00Z",
    "rounds": 3,
    "seconds": 1.0,
}
RATES = {
    ("post-1", BARE): [1000, 1000, 1000],
    ("post-64", BARE): [32_000, 16_000, 32_000],
    ("post-64", OURS): [16_000, 16_000, 17_600],
    ("post-64", IGGY_HTTP): [8_000, 8_000, 8_000],
    ("batch-1000", EMBEDDED): [400, 100, 400],
    ("ndjson-in", EMBEDDED): [4, 4, 4],
    ("ndjson-in", SDK["replicated"]): [5, 5, 5],
}


def run(rate: float, *, p50_us: int = 100) -> Run:
    return Run(rate, p50_us, 2 * p50_us, 40.0, 10.0, 50.0)


def streams(rate: float, p50_us: int, around_p50_us: int, around_p99_us: int, reader_kib: float) -> Run:
    return Run(rate, p50_us, 2 * p50_us, 40.0, 10.0, 50.0, around_p50_us, around_p99_us, reader_kib)


def results() -> Results:
    found = Results(about={**ABOUT})
    for (key, target), each in RATES.items():
        for rate in each:
            found.add(case_named(key), target, run(rate))
    for one in (
        streams(300_000, 2_000, 9_000, 30_000, 20.0),
        streams(90_000, 4_000, 8_000, 40_000, 16.0),
        streams(400_000, 3_500, 16_000, 35_000, 70.0),
    ):
        found.add(case_named("fanout"), OURS, one)
    return found


@pytest.mark.parametrize(
    "ordered,percent,expected",
    [([], 99, 0), ([7], 50, 7), (range(100), 99, 99), (range(100), 50, 50), (range(1000), 99.9, 999)],
)
def test_a_percentile_is_a_time_that_was_measured(ordered: list[int], percent: float, expected: int) -> None:
    assert percentile(ordered, percent) == expected


def test_a_ratio_is_taken_within_each_round() -> None:
    assert spread(ratios([40, 50, 70], [100, 50, 100])) == Spread(0.7, 0.4, 1.0)
    assert told(Spread(0.7, 0.4, 1.0)) == "0.70 (0.40-1.00)"


def test_figures_of_unequal_rounds_make_no_ratio() -> None:
    with pytest.raises(ValueError, match="argument"):
        ratios([1, 2], [1])


def test_what_was_found_survives_being_written_as_json(tmp_path: Path) -> None:
    found = results()
    found.drop(case_named("post-1"), BARE, "it broke")
    write(found, tmp_path / "deep" / "it.json")
    again = read(tmp_path / "deep" / "it.json")
    assert again == found
    assert again.was_skipped(case_named("post-1"), BARE)
    assert not again.of(case_named("post-1"), BARE)


def test_a_table_has_a_rate_a_ratio_and_its_range_in_each_cell() -> None:
    lines = rates(results(), between="<br>").splitlines()
    assert lines[3] == (
        "| POST one event, 64 connections | 32,000 | | 16,000<br>0.55 (0.50-1.00) | | | 8,000<br>0.25 (0.25-0.50) |"
    )
    assert len(lines) == 5


def test_a_figure_without_its_base_is_told_without_a_ratio() -> None:
    assert rates(results()).splitlines()[4] == "| POST batch of 1000, 4 connections | | 400 | | | | |"


def test_bulk_is_told_in_messages() -> None:
    assert "| NDJSON in, 1 connection | embedded log | 200,000 | 0.80 (0.80-0.80) |" in bulk(results())


def test_the_report_names_both_trees() -> None:
    found = results()
    assert "; commit abc, 2026" in terminal(found)
    found.about["before"] = "def"
    assert "; commit abc against def, 2026" in terminal(found)


def test_waits_are_the_medians_of_the_rounds() -> None:
    found = results()
    for p50_us in (300, 200, 900):
        found.add(case_named("post-1"), OURS, run(1, p50_us=p50_us))
    assert "| POST one event, 1 connection | 0.10 / 0.20 | | 0.30 / 0.60 |" in waits(found)


def test_streams_to_many_are_told_in_deliveries_and_waits() -> None:
    assert fan_out(results()).splitlines()[2] == (
        "| 1,000 event streams of one topic | Iggy, replicated | 300,000 (90,000-400,000) | "
        "| 40.0 + 10.0 s, 50 MiB | 3.50 / 7.00 | 9.00 / 35.00 | 70.0 KiB |"
    )
    alone = results()
    alone.drop(case_named("fanout"), OURS, "it broke")
    assert not fan_out(alone)
    alone.add(case_named("fanout"), EMBEDDED, streams(1, 3_500, 0, 0, 20.0))
    assert "| 3.50 / 7.00 | | 20.0 KiB |" in fan_out(alone)


def test_promises_to_readers_of_streams_are_held_by_their_medians() -> None:
    found = {floor.what.partition(": ")[2]: floor for floor in floors(results()) if "streams" in floor.what}
    assert {what: floor.held for what, floor in found.items()} == {
        "deliveries/s": True,
        "p50 ms from the 201": False,
        "p50 ms around it": True,
        "KiB an idle reader": True,
    }


def test_an_empty_cell_keeps_its_place() -> None:
    assert table(["a", "b", "c"], [["x", "", ""]]) == "| a | b | c |\n| --- | ---: | ---: |\n| x | | |"
    assert not table(["a", "b", "c"], [])


def test_a_promise_is_held_by_its_median() -> None:
    found = {(floor.what.partition(",")[0], floor.target): floor for floor in floors(results())}
    assert found["POST one event", OURS].held
    assert found["POST one event", OURS].measured.median == pytest.approx(0.55)
    assert found["POST batch of 1000", EMBEDDED].held
    assert found["POST batch of 1000", EMBEDDED].measured.least == pytest.approx(6.25)
    assert found["NDJSON in", EMBEDDED].bound == 0.6


@pytest.mark.parametrize("rate,held", [(14_500, True), (14_300, False)])
def test_a_promise_that_is_missed_is_called_so(rate: float, held: bool) -> None:
    found = results()
    found.drop(case_named("post-64"), OURS, "measured anew")
    for each in (rate, rate / 2, rate):
        found.add(case_named("post-64"), OURS, run(each))
    assert next(iter(floors(found))).held is held
    line = terminal(found).partition("Iggy, replicated | >= 0.45")[2].splitlines()[0]
    assert ("MISSED" in line) is not held


def test_the_report_names_what_was_not_measured() -> None:
    found = results()
    found.drop(case_named("post-64"), IGGY_HTTP, "post-64 on Iggy's HTTP API: 429")
    assert "not measured: post-64 on Iggy's HTTP API: 429" in terminal(found)


@pytest.mark.parametrize(
    "before,expected",
    [
        ([10_000, 10_000, 10_000], "faster"),
        ([20_000, 16_000, 18_000], "no difference"),
        ([16_000, 16_000, 17_600], "no difference"),
        ([40_000, 40_000, 40_000], "slower"),
    ],
)
def test_a_difference_is_told_only_where_rounds_differ_less_than_trees(
    before: list[float], expected: str
) -> None:
    found = results()
    for after_rate, before_rate in zip((20_000, 16_000, 18_000), before, strict=True):
        found.add(case_named("batch-100"), OURS, run(after_rate))
        found.add(case_named("batch-100"), OURS + BEFORE, run(before_rate))
    line = changes(found).splitlines()[2]
    assert line.startswith(f"| POST batch of 100, 4 connections | {OURS} |")
    assert line.endswith(f"| {expected} |")


def test_one_round_tells_no_difference() -> None:
    assert verdict([2.0]) == "no difference"


def test_instructions_are_told_beside_the_bare_handlers() -> None:
    figures = {"post-64": {BARE: 200_000.0, EMBEDDED: 400_000.0}}
    assert (
        instructions(figures).splitlines()[2]
        == "| POST one event, 64 connections | 200,000 | 400,000 (0.50) |"
    )


def test_the_page_shows_the_run_it_is_given(tmp_path: Path) -> None:
    write(results(), tmp_path / "some.json")
    assert "| POST one event, 1 connection |" in performance_part(tmp_path / "some.json")


def test_a_load_program_prints_one_line_for_the_bench() -> None:
    assert report_line(requests=3).strip() == 'REPORT {"requests": 3}'
