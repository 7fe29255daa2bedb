"""The line that every request leaves (shell): same sink, fields and rules as any other, by a shorter way.

Through structlog the access log took 32-38 us of a request in `tests/bench/middleware_costs.py`, this way 14-18. Here the fields are known, so nothing is gathered
or merged, and only what comes from outside is cleaned.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import orjson
import structlog

from bridge.telemetry.log_fields import clean_text
from bridge.telemetry.logs import direct_lines

__all__ = ("RequestLines",)

_LOGGER: Final = "bridge.access"
_EVENT: Final = "request"
_REMEMBERED: Final = 1024


class RequestLines:
    """Writes one line for each request; through structlog where somebody else (a test) has set structlog up."""

    __slots__ = ("_log",)

    def __init__(self) -> None:
        self._log = structlog.get_logger(_LOGGER)

    def tell(
        self,
        *,
        method: str,
        route: str,
        path: str,
        status: int,
        seconds: float,
        body_bytes: int,
        client: str,
        request_id: str,
        quiet: bool,
    ) -> None:
        """
        One request was answered.

        Args:
            route: its template; *path* is what stood in the request line, without the query.
            seconds: told in milliseconds.
            quiet: for "debug" only.
        """
        lines = direct_lines()
        duration_ms = round(seconds * 1000, 3)
        if lines is None:
            (self._log.debug if quiet else self._log.info)(
                _EVENT,
                method=method,
                route=route,
                path=path,
                status=status,
                duration_ms=duration_ms,
                bytes=body_bytes,
                client=client,
                request_id=request_id,
            )
            return
        if quiet and not lines.debug:
            return
        if not quiet and not lines.info:
            return
        level = "debug" if quiet else "info"
        own: dict[str, object] = {
            "status": status,
            "duration_ms": duration_ms,
            "bytes": body_bytes,
            "request_id": clean_text(request_id),
        }
        if not lines.as_json:
            fixed = _fixed(level, method, route, path, client)
            lines.write(lines.render({"timestamp": datetime.now(UTC), **fixed, **own}))
            return
        if lines.worker is not None:
            own["worker"] = lines.worker
        head = _json_head(level, method, route, path, client)
        tail = orjson.dumps(own, option=orjson.OPT_APPEND_NEWLINE)
        lines.write(f'{{"timestamp":"{_now()}",{head},'.encode() + tail[1:])


def _fixed(level: str, method: str, route: str, path: str, client: str) -> dict[str, str]:
    return {
        "level": level,
        "logger": _LOGGER,
        "event": _EVENT,
        "client": clean_text(client),
        "method": clean_text(method),
        "route": route,
        "path": clean_text(path),
    }


# Callers come again and again, and to the same few paths; only an id is new each time.
@lru_cache(_REMEMBERED)
def _json_head(level: str, method: str, route: str, path: str, client: str) -> str:
    """The members that repeat, without braces."""
    return orjson.dumps(_fixed(level, method, route, path, client))[1:-1].decode()


def _now() -> str:
    seconds, fraction_us = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{fraction_us:06d}Z"


@lru_cache(2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
