"""What was looked at, how it is, and what to do (leaf)."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple


class Level(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        found: what is so, in a sentence.
        cure: what to do; nothing where all is well.
    """

    check: str
    level: Level
    found: str
    cure: str = ""


#: As the alert BridgeCertificateEnds has it.
_CERTIFICATE_DAYS: Final = 14
_DAY_S: Final = 86_400


def certificate_ends(not_after_s: float, now_s: float) -> Finding:
    """How long a certificate lasts that ends at *not_after_s*, as Unix time."""
    days = (not_after_s - now_s) / _DAY_S
    ends = datetime.fromtimestamp(not_after_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if days <= 0:
        return Finding("certificate", Level.FAIL, f"It ended at {ends}.", "Renew TLS_CERT_FILE.")
    told = f"It ends at {ends}, in {days:.0f} days."
    if days < _CERTIFICATE_DAYS:
        return Finding("certificate", Level.WARN, told, "See that somebody renews TLS_CERT_FILE.")
    return Finding("certificate", Level.OK, told)


def durability_of(durability: str | None, *, means: str) -> Finding:
    """What a 201 tells; *means* is the verb: now, or of a bridge that does not serve yet."""
    if durability == "persisted":
        return Finding("durability", Level.OK, f"201 {means} on disk (persisted).")
    told = f"201 {means} {durability}: in memory, which a killed single server loses."
    cure = "Set DURABILITY=persisted; it holds for topics made from then on."
    return Finding("durability", Level.WARN, told, cure)
