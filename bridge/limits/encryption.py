"""Bounds of the encryption of stored payloads (leaf, pure)."""

from typing import Final

# A header's value holds the algorithm and the id, and has 255 bytes.
ENCRYPTION_KEY_ID_CHARS_MAX: Final = 64
# One a month for five years; those of messages that retention has removed are taken out.
ENCRYPTION_KEYS_MAX: Final = 64
# Data keys kept to write with, and to read with: one a topic and process. Making one takes 15 us (measured).
DATA_KEYS_MAX: Final = 1_024
# Salt, nonce and tag before and after each payload.
ENCRYPTION_OVERHEAD_BYTES: Final = 16 + 12 + 16
