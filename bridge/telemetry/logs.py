"""Structured logs (shell): one JSON object a line on stdout, readable lines on a terminal.

Loggers are `structlog.get_logger("bridge.<room>")`, events are short fixed words, everything else is a key and a value.
`request_id` and `client` come from `structlog.contextvars`, bound once per request. What the standard library's
loggers say (aiohttp, asyncio, warnings) takes the same way.
"""

import atexit
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.contextvars import merge_contextvars

from bridge.config import ObserveConfig
from bridge.limits import LOG_LINES_WAITING_MAX
from bridge.telemetry.log_fields import clean_field, clean_traceback
from bridge.telemetry.log_sink import LineSink

__all__ = ("configure",)

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
        fields = merge_contextvars(logger, method_name, fields)
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
        fields = dict(merge_contextvars(None, "", fields))
        self._write(self._processor.line(record.name, record.levelname.lower(), fields))


def configure(observe: ObserveConfig, *, fd: int = _STDOUT_FD) -> LineSink:
    """
    Send all logs of this process to *fd*, from now on.

    Returns:
        The sink; closing it writes what is waiting. It is also closed when the interpreter ends.
    """
    colors = sys.stdout.isatty()
    as_json = observe.log_format == "json" or (observe.log_format == "auto" and not colors)
    processor = _LineProcessor(render_json if as_json else console_renderer(colors=colors))

    def dropped_line(count: int) -> bytes:
        fields = {"event": "log_lines_dropped", "count": count, "waiting_max": LOG_LINES_WAITING_MAX}
        return processor.line("bridge.telemetry", "warning", fields)

    sink = LineSink(fd, dropped_line)
    atexit.register(sink.close)
    level = _LEVELS[observe.log_level]
    structlog.configure(
        processors=[processor],
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
