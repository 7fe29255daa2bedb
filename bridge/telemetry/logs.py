"""Structured logs (shell): one JSON object a line on stdout, readable lines on a terminal.

Loggers are `structlog.get_logger("bridge.<room>")`, events are short fixed words, everything else is a key and a value.
`request_id` and `client` come from `request_scope`, set once per request. What the standard library's
loggers say (aiohttp, asyncio, warnings) takes the same way.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import structlog
from structlog.contextvars import merge_contextvars

from bridge.config import ObserveConfig
from bridge.limits import LOG_LINES_WAITING_MAX
from bridge.telemetry.log_fields import clean_field, clean_traceback
from bridge.telemetry.log_sink import Line, LineSink
from bridge.telemetry.request_scope import REQUEST_SCOPE

__all__ = ("DirectLines", "configure", "direct_lines")

_STDOUT_FD = 1
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
#: Turns the fields of one event, "event" among them, into a line with its end.
LineRenderer = Callable[[Mapping[str, Any]], bytes]


class _NamedLogger:
    """What structlog calls last: hands the rendered line to the sink."""

    __slots__ = ("_write", "name")

    def __init__(self, name: str, write: Callable[[bytes], None]) -> None:
        self.name = name
        self._write = write

    def msg(self, line: bytes) -> None:
        self._write(line)

    debug = info = warning = error = critical = exception = fatal = msg


class _LineProcessor:
    """The one structlog processor: gathers the fields, cleans them, renders the line."""

    __slots__ = ("_render",)

    def __init__(self, render: LineRenderer) -> None:
        self._render = render

    def __call__(
        self, logger: _NamedLogger, method_name: str, fields: MutableMapping[str, Any]
    ) -> tuple[tuple[bytes], dict[str, Any]]:
        fields = _with_context(logger, method_name, fields)
        return (self.line(logger.name, method_name, fields),), {}

    def line(self, name: str, level: str, fields: MutableMapping[str, Any]) -> bytes:
        shown: dict[str, Any] = {
            "timestamp": datetime.now(UTC),
            "level": "error" if level == "exception" else level,
            "logger": name,
            "event": "",
        }
        exc_info = fields.pop("exc_info", None)
        for key, value in fields.items():
            shown[key] = clean_field(key, value)
        if exc_info:
            shown["exception"] = clean_traceback(_traceback_text(exc_info))
        return self._render(shown)

    def dropped(self, count: int) -> bytes:
        """The line that says how many were dropped."""
        fields = {"event": "log_lines_dropped", "count": count, "waiting_max": LOG_LINES_WAITING_MAX}
        return self.line("bridge.telemetry", "warning", fields)

    def again(self, error: OSError, seconds: float) -> bytes:
        """The line after a gap: what writing failed of, and for how long."""
        reason = os.strerror(error.errno or 0)
        fields = {"event": "log_written_again", "reason": reason, "seconds": round(seconds, 1)}
        return self.line("bridge.telemetry", "warning", fields)


def _with_context(
    logger: Any, method_name: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    fields = merge_contextvars(logger, method_name, fields)
    scope = REQUEST_SCOPE.get()
    if scope is not None:
        fields.setdefault("request_id", scope[0])
        fields.setdefault("client", scope[1])
    return fields


def _traceback_text(exc_info: Any) -> str:
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    else:
        error = sys.exc_info()[1]
    return "" if error is None else "".join(traceback.format_exception(error)).rstrip()


def render_json(fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except TypeError:
        # Only an integer of more than 64 bits gets here, a message id for one.
        texts = {key: str(value) if type(value) is int else value for key, value in fields.items()}
        return orjson.dumps(texts, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def console_renderer(*, colors: bool) -> LineRenderer:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, timestamp_key="timestamp"
    )

    def line(fields: Mapping[str, Any]) -> bytes:
        shown = {**fields, "timestamp": fields["timestamp"].strftime("%H:%M:%S.%f")[:-3]}
        return (render(None, "", shown) + "\n").encode(errors="backslashreplace")

    return line


class _StandardHandler(logging.Handler):
    """Takes what the standard library's loggers say the same way."""

    def __init__(self, processor: _LineProcessor, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._processor = processor
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"event": record.getMessage(), "exc_info": record.exc_info}
        fields = dict(_with_context(None, "", fields))
        self._write(self._processor.line(record.name, record.levelname.lower(), fields))


class DirectLines(NamedTuple):
    """
    The way to the sink for lines that are made elsewhere, clean and complete.

    Attributes:
        render: makes a line of fields.
        write: takes it; returns at once.
        as_json: whether a line is one JSON object, which may then be made without *render*.
        json_end: what ends such an object, and the line; *render* adds it by itself.
        debug, info: whether lines of that level are wanted.
    """

    render: LineRenderer
    write: Callable[[Line], None]
    as_json: bool
    json_end: str
    debug: bool
    info: bool


_direct: tuple[list[Any], _LineProcessor, DirectLines] | None = None


def direct_lines() -> DirectLines | None:
    """What `configure` has set up; None where structlog was set up by somebody else, or since then."""
    if _direct is None:
        return None
    chain, processor, lines = _direct
    # The test's `capture_logs` empties the list itself; a later `structlog.configure` brings another list.
    if structlog.get_config()["processors"] is not chain or chain[0] is not processor:
        return None
    return lines


def _of_worker(render: LineRenderer, worker: int) -> LineRenderer:
    def line(fields: Mapping[str, Any]) -> bytes:
        return render({**fields, "worker": worker})

    return line


def configure(
    observe: ObserveConfig,
    *,
    fd: int = _STDOUT_FD,
    worker: int | None = None,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> LineSink:
    """
    Send all logs of this process to *fd*, from now on.

    Args:
        worker: its number is in every line.
        alone: held while lines are written, where several processes write to *fd*.

    Returns:
        The sink; closing it writes what is waiting. It is also closed when the interpreter ends.
    """
    global _direct  # noqa: PLW0603 (as structlog's own configuration, there is one in a process)
    # Whoever started this may have closed it.
    colors = sys.stdout is not None and sys.stdout.isatty()
    as_json = observe.log_format == "json" or (observe.log_format == "auto" and not colors)
    render = render_json if as_json else console_renderer(colors=colors)
    if worker is not None:
        render = _of_worker(render, worker)
    processor = _LineProcessor(render)

    sink = LineSink(fd, processor.dropped, processor.again, alone=alone)
    atexit.register(sink.close)
    level = _LEVELS[observe.log_level]
    chain: list[Any] = [processor]
    _direct = (
        chain,
        processor,
        DirectLines(
            render,
            sink.write,
            as_json=as_json,
            json_end="}\n" if worker is None else f',"worker":{worker}}}\n',
            debug=level <= logging.DEBUG,
            info=level <= logging.INFO,
        ),
    )
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *args: _NamedLogger(args[0] if args else "bridge", sink.write),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_StandardHandler(processor, sink.write)]
    # The standard loggers' debug lines (asyncio's selector, for one) are nobody's concern here.
    root.setLevel(max(level, logging.INFO))
    # Requests are logged once, by the access log of the web room.
    logging.getLogger("aiohttp.access").propagate = False
    logging.captureWarnings(capture=True)
    return sink
