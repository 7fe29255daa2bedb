"""How long one request may take (pure)."""

from typing import Final

from bridge.limits import REQUEST_TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS_MIN

__all__ = ("effective_timeout_ms",)

_DIGITS_MAX: Final = len(str(REQUEST_TIMEOUT_MS_MAX))


def effective_timeout_ms(asked: str | None, configured_ms: int) -> int:
    """
    The shorter of the configured time and the one asked for with `X-Request-Timeout`, in milliseconds.

    Anything but a plain decimal number of 100..300000 is ignored: a caller who cannot spell it is served as if he
    had not asked.
    """
    if asked is None or len(asked) > _DIGITS_MAX or not (asked.isascii() and asked.isdigit()):
        return configured_ms
    asked_ms = int(asked)
    if not REQUEST_TIMEOUT_MS_MIN <= asked_ms <= REQUEST_TIMEOUT_MS_MAX:
        return configured_ms
    return min(asked_ms, configured_ms)
