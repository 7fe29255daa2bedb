"""What the bridge has promised of its speed, held against what was measured (pure)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.bench.cases import BARE, CASES, EMBEDDED, IGGY, IGGY_HTTP, Case, base_of, case_named
from tests.bench.results import Results
from tests.bench.samples import Spread, ratios, spread

__all__ = ("Floor", "aims", "floors")

_REPLICATED: Final = IGGY["replicated"]
_PERSISTED: Final = IGGY["persisted"]
#: Rates to the base of the case: at least this.
_RATES: Final = (
    ("post-64", EMBEDDED, 0.55),
    ("post-64", _REPLICATED, 0.55),
    ("post-64", _PERSISTED, 0.40),
    ("get-same", EMBEDDED, 0.12),
    ("get-same", _REPLICATED, 0.12),
    ("get-any", EMBEDDED, 0.12),
    ("get-any", _REPLICATED, 0.12),
    ("ndjson-in", EMBEDDED, 0.60),
    ("ndjson-in", _REPLICATED, 0.60),
    ("ndjson-in", _PERSISTED, 0.60),
    ("ndjson-out", EMBEDDED, 0.60),
    ("ndjson-out", _REPLICATED, 0.60),
)
#: Medians at one connection to the bare handler's: at most this.
_P50_MOST: Final = 3.0
#: Of 1,000 readers, by a bridge that has one core: deliveries a second, times in ms until half of them have an event,
#: and what each of them costs while it waits.
_DELIVERIES: Final = 100_000
_DELIVERY_MS_MOST: Final = 3.0
_AROUND_MS_MOST: Final = 15.0
_READER_KIB_MOST: Final = 62.5
#: Messages in batches of 1000 for each request that the bare handler answers at 64 connections.
_BATCH_MESSAGES: Final = 350_000 / 32_000


class Floor(NamedTuple):
    """One claim: *measured* is at least *bound*, or at most where *most* is set; the median decides."""

    what: str
    target: str
    bound: float
    measured: Spread
    most: bool = False

    @property
    def held(self) -> bool:
        return self.measured.median <= self.bound if self.most else self.measured.median >= self.bound


def floors(results: Results) -> Iterator[Floor]:
    """Those of issues 4 and 5 that this run can tell of."""
    for key, target, bound in _RATES:
        case = case_named(key)
        if results.has(case, target) and (measured := results.ratio(case, target)) is not None:
            yield Floor(f"{case.title}: rate to {base_of(case, target)}", target, bound, measured)
    yield from _waits(results, case_named("post-1"))
    yield from _batches(results, case_named("batch-1000"), case_named("post-64"))
    yield from _fan_out(results, case_named("fanout"))


def _waits(results: Results, case: Case) -> Iterator[Floor]:
    for target in (EMBEDDED, _REPLICATED):
        if results.has(case, target) and results.has(case, BARE):
            ours, base = ([run.p50_us for run in results.runs[case.key, one]] for one in (target, BARE))
            measured = spread(ratios(ours, base))
            yield Floor(f"{case.title}: p50 to {BARE}", target, _P50_MOST, measured, most=True)


def _batches(results: Results, case: Case, single: Case) -> Iterator[Floor]:
    for target in (EMBEDDED, _REPLICATED):
        if results.has(case, target) and results.has(single, BARE):
            messages = [rate * case.messages for rate in results.rates(case, target)]
            measured = spread(ratios(messages, results.rates(single, BARE)))
            yield Floor(
                f"{case.title}: messages for each request of {BARE}", target, _BATCH_MESSAGES, measured
            )


def _fan_out(results: Results, case: Case) -> Iterator[Floor]:
    for target, extras in results.fan_outs.items():
        if target == BARE:
            continue
        yield Floor(f"{case.title}: deliveries/s", target, _DELIVERIES, spread(results.rates(case, target)))
        waits_ms = [run.p50_us / 1000 for run in results.runs[case.key, target]]
        yield Floor(
            f"{case.title}: p50 ms from the 201", target, _DELIVERY_MS_MOST, spread(waits_ms), most=True
        )
        if any(one.around_p50_us for one in extras):
            around_ms = spread([one.around_p50_us / 1000 for one in extras])
            yield Floor(f"{case.title}: p50 ms around it", target, _AROUND_MS_MOST, around_ms, most=True)
        most_kib = max(one.reader_kib for one in extras)
        reader_kib = Spread(most_kib, most_kib, most_kib)
        yield Floor(f"{case.title}: KiB an idle reader", target, _READER_KIB_MOST, reader_kib, most=True)


def aims(results: Results) -> Iterator[Floor]:
    """Level with Iggy's own HTTP API, which is Rust, in every row."""
    for case in CASES:
        if results.has(case, _REPLICATED) and results.has(case, IGGY_HTTP):
            measured = spread(ratios(results.rates(case, _REPLICATED), results.rates(case, IGGY_HTTP)))
            yield Floor(f"{case.title}: rate to {IGGY_HTTP}", _REPLICATED, 1.0, measured)
