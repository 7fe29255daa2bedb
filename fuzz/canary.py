"""Invariant, false on purpose: no input holds a byte above 127. The runner must report this target as a finding."""

__all__ = ("check",)


def check(data: bytes) -> None:
    if not data.isascii():
        raise AssertionError("the canary sings")
