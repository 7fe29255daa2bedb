"""What a run of the bench found, and its form as JSON (pure)."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.bench.cases import Case, Kind, base_of
from tests.bench.samples import Spread, ratios, spread

__all__ = ("FanOut", "Results", "Run", "Skipped")


class Run(NamedTuple):
    """
    What one measurement gave.

    Attributes:
        cpu_ms_per_1000: CPU time of the target's process for 1000 requests; of the program itself for the SDK.
        iggy_cpu_ms_per_1000: that of the Iggy server behind it, 0 where there is none.
        peak_mib: the largest resident set of the target's process during it.
    """

    requests_per_s: float
    p50_us: int
    p99_us: int
    cpu_ms_per_1000: float
    iggy_cpu_ms_per_1000: float
    peak_mib: float


class FanOut(NamedTuple):
    """
    What streams to many readers cost besides their deliveries, which are "requests" of a `Run`.

    Attributes:
        around_p50_us, around_p99_us: from Iggy's acknowledgement of a message sent straight to it until a reader has it; 0
            where there is no Iggy.
        reader_kib: growth of the server's resident set for each reader that waits.
    """

    around_p50_us: int
    around_p99_us: int
    reader_kib: float


class Skipped(NamedTuple):
    """Work that a target could not be measured at."""

    case: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """
    Everything that a report says.

    Attributes:
        about: the machine, the versions, and how it was measured.
        runs: by (case's key, target), one for each round.
        fan_outs: by target, one for each round.
    """

    about: dict[str, Any]
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    fan_outs: dict[str, list[FanOut]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def has(self, case: Case, target: str) -> bool:
        return (case.key, target) in self.runs

    def rates(self, case: Case, target: str) -> list[float]:
        """Requests per second, one for each round."""
        return [run.requests_per_s for run in self.runs[case.key, target]]

    def ratio(self, case: Case, target: str) -> Spread | None:
        """Of its rates to those of its base in the same rounds; None where the base was not measured."""
        base = base_of(case, target)
        if not self.has(case, base):
            return None
        return spread(ratios(self.rates(case, target), self.rates(case, base)))

    def drop(self, case: Case, target: str, reason: str) -> None:
        """Forget what was measured: a figure from some of the rounds has no pair in the others."""
        self.runs.pop((case.key, target), None)
        if case.kind is Kind.FAN_OUT:
            self.fan_outs.pop(target, None)
        self.skipped.append(Skipped(case.key, target, reason))

    def as_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "runs": [
                {"case": case, "target": target, "rounds": [run._asdict() for run in runs]}
                for (case, target), runs in self.runs.items()
            ],
            "fan_outs": [
                {"target": target, "rounds": [one._asdict() for one in rounds]}
                for target, rounds in self.fan_outs.items()
            ],
            "skipped": [one._asdict() for one in self.skipped],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Results":
        """
        Raises:
            KeyError, TypeError: if it is not what `as_json` gives.
        """
        return cls(
            about=found["about"],
            runs={
                (row["case"], row["target"]): [Run(**run) for run in row["rounds"]] for row in found["runs"]
            },
            fan_outs={
                row["target"]: [FanOut(**one) for one in row["rounds"]] for row in found.get("fan_outs", ())
            },
            skipped=[Skipped(**one) for one in found["skipped"]],
        )
