"""Escapes of half a surrogate pair in JSON (pure): well-formed by the grammar, and no text."""

import re
from typing import Final

from bridge.limits import FAULT_NAME_CHARS_MAX, FAULT_PATH_BYTES, FAULT_PATH_STEPS_MAX

__all__ = ("first_half_surrogate", "path_at")

_PAIR: Final = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
# Everything before it: other text, other escapes, whole pairs.
_WHOLE: Final = re.compile(rb"(?:[^\\]++|\\(?:%b|(?!%b).))*+" % (_PAIR, _HALF), re.DOTALL)
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
_SHOWABLE: Final = re.compile(rb'"([A-Za-z0-9_.-]{1,%d})"' % FAULT_NAME_CHARS_MAX)


def first_half_surrogate(written: bytes) -> int | None:
    """Where the first escape of one half without the other begins, in bytes; None if there is none."""
    if b"\\u" not in written:
        return None
    found = _WHOLE.match(written)
    end = 0 if found is None else found.end()
    # A backslash at the very end is none.
    return end if end < len(written) - 1 else None


def path_at(written: bytes, index: int) -> str:
    """
    The JSON path of the value, or of the object of the key, that byte *index* stands in.

    Only names that are harmless are shown, others as `[...]`; where it is far in or deep down, the path of what is around.

    Args:
        written: JSON, well-formed up to *index*.
    """
    if index > FAULT_PATH_BYTES:
        return "$"
    # The number of an element, the spelling of a key, or None where a key follows.
    steps: list[int | bytes | None] = []
    for token in _TOKEN.finditer(written, 0, index):
        mark = token.group()
        if mark == b"[":
            steps.append(0)
        elif mark == b"{":
            steps.append(None)
        elif not steps:
            break
        elif mark in b"]}":
            steps.pop()
        elif mark == b",":
            step = steps[-1]
            steps[-1] = step + 1 if isinstance(step, int) else None
        elif steps[-1] is None and token.end() < index:
            steps[-1] = mark
    return "$" + "".join(map(_shown, steps[:FAULT_PATH_STEPS_MAX]))


def _shown(step: int | bytes | None) -> str:
    if step is None:
        return ""
    if isinstance(step, int):
        return f"[{step}]"
    name = _SHOWABLE.fullmatch(step)
    return "[...]" if name is None else f".{name[1].decode()}"
