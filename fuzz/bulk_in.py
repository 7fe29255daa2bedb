"""Invariant: of any NDJSON body, however cut and packed, the good lines are stored, in order, and the others are told."""

from tests.support.ndjson_claim import check

__all__ = ("check",)
