"""Bounds of the audit log (leaf, pure)."""

from typing import Final

# A file that is longer is closed and a new one begun: some 150,000 records, which every tool still opens.
AUDIT_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
# Records that wait for the disk; beyond them, changes are refused until it takes some.
AUDIT_WAITING_MAX: Final = 10_000
# A disk that fails is tried again after this.
AUDIT_RETRY_S: Final = 0.5
# Records that are written late share one sync; each is on disk so long after its request at most, if the disk is quick.
AUDIT_GATHER_S: Final = 0.02
# The longest record that is read back: its fields are bounded, and escapes make six bytes of one.
AUDIT_LINE_BYTES_MAX: Final = 64 * 1024
