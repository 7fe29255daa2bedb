"""What the bridge has promised of its speed, held against what was measured (pure)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from tests.bench.cases import BARE, EMBEDDED, IGGY, Case, base_of, case_named
from tests.bench.results import Results, Run
from tests.bench.samples import Spread, ratios, spread

__all__ = ("Floor", "floors")

#: One figure of each round; none where it cannot be told.
_Figures = Callable[[Results, Case, str], Sequence[float]]
_LOGS: Final = (EMBEDDED, IGGY["replicated"])
_ALL: Final = (*_LOGS, IGGY["persisted"])


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


def _rates_to_base(results: Results, case: Case, target: str) -> Sequence[float]:
    rates, base = results.rates(case, target), results.rates(case, base_of(case, target))
    return ratios(rates, base) if rates and base else ()


def _messages_to_bare(results: Results, case: Case, target: str) -> Sequence[float]:
    """Messages for each request that the bare handler answers at 64 connections."""
    bare = results.rates(case_named("post-64"), BARE)
    messages = [rate * case.messages for rate in results.rates(case, target)]
    return ratios(messages, bare) if messages and bare else ()


def _of_run(figure: Callable[[Run], float]) -> _Figures:
    """Zero is what was not measured."""
    return lambda results, case, target: [figure(run) for run in results.of(case, target) if figure(run)]


#: Case, targets, what it is, its figure in each round, the bound, and whether that is the most.
_CLAIMS: Final[tuple[tuple[str, tuple[str, ...], str, _Figures, float, bool], ...]] = (
    ("post-64", _ALL, "rate to the bare handler", _rates_to_base, 0.45, False),
    ("batch-1000", _LOGS, "messages to its POSTs", _messages_to_bare, 350_000 / 32_000, False),
    ("get-same", _LOGS, "rate to the bare handler", _rates_to_base, 0.12, False),
    ("get-any", _LOGS, "rate to the bare handler", _rates_to_base, 0.12, False),
    ("ndjson-in", _ALL, "rate to the SDK straight", _rates_to_base, 0.60, False),
    ("ndjson-out", _LOGS, "rate to the SDK straight", _rates_to_base, 0.60, False),
    ("fanout", _LOGS, "deliveries/s", _of_run(lambda run: run.requests_per_s), 100_000, False),
    ("fanout", _LOGS, "p50 ms from the 201", _of_run(lambda run: run.p50_us / 1000), 3.0, True),
    ("fanout", _LOGS, "p50 ms around it", _of_run(lambda run: run.around_p50_us / 1000), 15.0, True),
    ("fanout", _LOGS, "KiB an idle reader", _of_run(lambda run: run.reader_kib), 62.5, True),
)


def floors(results: Results) -> Iterator[Floor]:
    """Those that this run can tell of."""
    for key, targets, what, figures, bound, most in _CLAIMS:
        case = case_named(key)
        for target in targets:
            if measured := figures(results, case, target):
                yield Floor(f"{case.title}: {what}", target, bound, spread(measured), most)
