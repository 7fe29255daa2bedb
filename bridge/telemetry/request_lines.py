"""The line that every request leaves (shell): same sink, fields and rules as any other, by a shorter way.

Through structlog the access log took 32-38 us of a request. Here the fields are
known, so nothing is gathered or merged, only what comes from outside is cleaned, and the writing thread makes the line.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Final

import orjson
import structlog

from bridge.telemetry.log_fields import clean_text
from bridge.telemetry.logs import DirectLines, direct_lines

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
        method: str,
        route: str,
        path: str,
        client: str,
        status: int,
        seconds: float,
        body_bytes: int,
        request_id: str,
        *,
        quiet: bool,
        error: str | None = None,
    ) -> None:
        """
        One request was answered.

        Args:
            error: code of what it was refused for, or failed by; one of ours.
            route: its template; *path* is what stood in the request line, without the query.
            seconds: told in milliseconds.
            quiet: for "debug" only.
        """
        lines = direct_lines()
        if lines is not None:
            if lines.debug if quiet else lines.info:
                level = "debug" if quiet else "info"
                repeated = (level, method, route, path, client)
                lines.write(
                    partial(
                        _line, lines, time.time_ns(), repeated, status, seconds, body_bytes, request_id, error
                    )
                )
            return
        (self._log.debug if quiet else self._log.info)(
            _EVENT,
            method=method,
            route=route,
            path=path,
            status=status,
            duration_ms=_ms(seconds),
            bytes=body_bytes,
            client=client,
            request_id=request_id,
            **_of_error(error),
        )


def _of_error(error: str | None) -> dict[str, str]:
    return {} if error is None else {"error": error}


def _line(
    lines: DirectLines,
    now_ns: int,
    repeated: tuple[str, str, str, str, str],
    status: int,
    seconds: float,
    body_bytes: int,
    request_id: str,
    error: str | None,
) -> bytes:
    if not lines.as_json:
        now = datetime.fromtimestamp(now_ns / 1e9, UTC)
        own = {
            "status": status,
            "duration_ms": _ms(seconds),
            "bytes": body_bytes,
            "request_id": clean_text(request_id),
            **_of_error(error),
        }
        return lines.render({"timestamp": now, **_fixed(*repeated), **own})
    # Numbers as Python writes them are JSON; a text is not, but for codes, which are words.
    told = "" if error is None else f',"error":"{error}"'
    return (
        f'{{"timestamp":"{_rfc3339(now_ns)}",{_json_head(*repeated)},"status":{status},'
        f'"duration_ms":{_ms(seconds)},"bytes":{body_bytes},"request_id":{_quoted(request_id)}{told}{lines.json_end}'
    ).encode()


def _ms(seconds: float) -> float:
    return round(seconds * 1_000_000) / 1000


def _quoted(request_id: str) -> str:
    """Clean, as JSON; most ids hold nothing that need be cleaned or written in another way."""
    if request_id.isascii() and request_id.replace("-", "").isalnum():
        return f'"{request_id}"'
    return orjson.dumps(clean_text(request_id)).decode()


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


def _rfc3339(time_ns: int) -> str:
    return f"{_second(time_ns // 1_000_000_000)}.{str(time_ns)[-9:-3]}Z"


@lru_cache(2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
