"""What a run of the bench found, as it is kept in JSON (pure)."""

from typing import Any

import msgspec

from tests.bench.cases import Case, base_of
from tests.bench.samples import Spread, ratios, spread

__all__ = ("Measured", "Results", "Run", "Skipped")


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What one measurement gave; deliveries of a fan-out are its requests.

    Attributes:
        cpu_ms_per_1000: CPU time of the target's process for 1000 requests; of the program itself for the SDK.
        iggy_cpu_ms_per_1000: that of the Iggy server behind it, 0 where there is none.
        peak_mib: the largest resident set of the target's process during it.
        around_p50_us, around_p99_us: in a fan-out, from Iggy's acknowledgement of a message sent straight to it until a
            reader has it.
        reader_kib: in a fan-out, growth of the server's resident set for each reader that waits.
    """

    requests_per_s: float
    p50_us: int
    p99_us: int
    cpu_ms_per_1000: float
    iggy_cpu_ms_per_1000: float
    peak_mib: float
    around_p50_us: int = 0
    around_p99_us: int = 0
    reader_kib: float = 0.0


class Measured(msgspec.Struct):
    """A case on a target, once in each round."""

    case: str
    target: str
    rounds: list[Run]


class Skipped(msgspec.Struct):
    """A case that a target could not be measured at."""

    case: str
    target: str
    reason: str


class Results(msgspec.Struct, kw_only=True):
    """
    Everything that a report says.

    Attributes:
        about: the machine, the versions, and how it was measured.
    """

    about: dict[str, Any]
    runs: list[Measured] = []
    skipped: list[Skipped] = []

    def of(self, case: Case, target: str) -> list[Run]:
        """One for each round; none where it was not measured."""
        found = (one.rounds for one in self.runs if (one.case, one.target) == (case.key, target))
        return next(found, [])

    def targets_of(self, case: Case) -> list[str]:
        """Those it was measured on."""
        return [one.target for one in self.runs if one.case == case.key]

    def rates(self, case: Case, target: str) -> list[float]:
        return [run.requests_per_s for run in self.of(case, target)]

    def ratio(self, case: Case, target: str) -> Spread | None:
        """Of its rates to those of its base in the same rounds; None where either was not measured."""
        rates, base = self.rates(case, target), self.rates(case, base_of(case, target))
        return spread(ratios(rates, base)) if rates and base else None

    def add(self, case: Case, target: str, run: Run) -> None:
        if not self.of(case, target):
            self.runs.append(Measured(case.key, target, []))
        self.of(case, target).append(run)

    def drop(self, case: Case, target: str, reason: str) -> None:
        """Forget what was measured: a figure from some of the rounds has no pair in the others."""
        self.runs = [one for one in self.runs if (one.case, one.target) != (case.key, target)]
        self.skipped.append(Skipped(case.key, target, reason))

    def was_skipped(self, case: Case, target: str) -> bool:
        return any((one.case, one.target) == (case.key, target) for one in self.skipped)
