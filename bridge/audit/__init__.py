"""The audit log: who did what to which resource, with which outcome; each record holds the hash of the one before it."""

from bridge.audit.chain import GENESIS, Broken, Chain, Verified, verify
from bridge.audit.trail import AuditTrail

__all__ = ("GENESIS", "AuditTrail", "Broken", "Chain", "Verified", "verify")
