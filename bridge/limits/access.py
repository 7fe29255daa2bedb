"""Bounds of keys, tokens and what they may (leaf, pure)."""

from typing import Final

from bridge.limits.log import NAME_CHARS_MAX

# --- permissions ------------------------------------------------------------------------------------------------
# The longest scope, a stream, a topic, and the marks between them.
PERMISSION_CHARS_MAX: Final = len("produce:/") + 2 * NAME_CHARS_MAX
# Of one key or token: each is tried in its turn for every request. One that needs more wants patterns.
PERMISSIONS_MAX: Final = 64
