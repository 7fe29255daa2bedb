"""Structured logs (shell): one JSON object a line on stdout, readable lines on a terminal.

Loggers are `structlog.get_logger("bridge.<room>")`, events are short fixed words, everything else is a key and a value.
`request_id`, `client` and `trace_id` come from `REQUEST_SCOPE`, set once per request. What the standard library's
loggers say (aiohttp, asyncio, warnings) takes the same way.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson
import structlog
from structlog.contextvars import merge_contextvars

from bridge.config import ObserveConfig
from bridge.limits import LOG_LINES_WAITING_MAX, LOG_TEXTS_REMEMBERED_MAX
from bridge.telemetry.log_fields import are_clean, clean_field, clean_text, clean_traceback
from bridge.telemetry.log_sink import LineSink, LinesMaker

#: Request id, client's address and trace id, if any, of the request being served here; None outside of one.
REQUEST_SCOPE: Final[ContextVar[tuple[str, str, str | None] | None]] = ContextVar(
    "request_scope", default=None
)

_STDOUT_FD = 1
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_encode_lines: Final = msgspec.json.Encoder().encode_lines
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
        if scope[2] is not None:
            fields.setdefault("trace_id", scope[2])
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


class _RequestLine(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of the access log, its fields in their order."""

    timestamp: datetime
    level: str
    logger: str
    event: str
    client: str
    method: str
    route: str
    path: str
    status: int
    duration_ms: float
    bytes: int
    request_id: str
    error: str | None = None
    trace_id: str | None = None
    key_id: str | None = None
    worker: int | None = None

    def fields(self) -> dict[str, Any]:
        """Those that are there."""
        fields = msgspec.structs.asdict(self)
        return {name: value for name, value in fields.items() if value is not None}


@lru_cache(LOG_TEXTS_REMEMBERED_MAX)
def _cleaned(client: str, method: str, path: str) -> tuple[str, str, str]:
    return clean_text(client), clean_text(method), clean_text(path)


def _clean(lines: list[_RequestLine]) -> None:
    """Take out of what came from outside what no line may show."""
    # Of all together: most are UUIDs, and to look at each took 1,500 instructions of a line.
    if not are_clean([line.request_id for line in lines]):
        for line in lines:
            line.request_id = clean_text(line.request_id)
    for line in lines:
        line.client, line.method, line.path = _cleaned(line.client, line.method, line.path)


def _request_json(lines: list[_RequestLine]) -> bytes:
    _clean(lines)
    return _encode_lines(lines)


class _Setup(msgspec.Struct, frozen=True):
    """What `configure` has set up; *chain* is the list of processors that structlog was given, with ours in it."""

    chain: list[Any]
    processor: _LineProcessor
    render_requests: LinesMaker
    sink: LineSink
    level: int
    worker: int | None


_setup: _Setup | None = None


def log_request(
    method: str,
    route: str,
    path: str,
    client: str,
    status: int,
    seconds: float,
    body_bytes: int,
    request_id: str,
    quiet: bool,
    error: str | None = None,
    trace_id: str | None = None,
    key_id: str | None = None,
) -> None:
    """One request was answered: a line to the same sink, with the same rules, as any other, by a shorter way.

    Through structlog it took 32-38 us of a request. Here the fields are known, so nothing is gathered or merged, only
    what comes from outside is cleaned, and the writing thread makes the line, straight from the struct. Where somebody
    else (a test) has set structlog up, the line goes through it.

    Args:
        route: its template; *path* is what stood in the request line, without the query.
        seconds: told in milliseconds.
        quiet: for "debug" only.
        error: code of what it was refused for, or failed by; one of ours.
        trace_id: of the trace it belongs to.
        key_id: of the key that was shown, where it has one.
    """
    setup = _setup
    line = _RequestLine(
        datetime.now(UTC),
        "debug" if quiet else "info",
        "bridge.access",
        "request",
        client,
        method,
        route,
        path,
        status,
        round(seconds * 1_000_000) / 1000,
        body_bytes,
        request_id,
        error,
        trace_id,
        key_id,
        None if setup is None else setup.worker,
    )
    # A test's `capture_logs` changes the list that structlog was given.
    if setup is None or setup.sink.is_closed or setup.chain[0] is not setup.processor:
        _clean([line])
        fields = line.fields()
        del fields["timestamp"]
        log = structlog.get_logger("bridge.access")
        (log.debug if quiet else log.info)(**fields)
    elif setup.level <= (logging.DEBUG if quiet else logging.INFO):
        setup.sink.write((setup.render_requests, line))


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
    """Send all logs of this process to *fd*, from now on.

    Args:
        worker: its number is in every line.
        alone: held while lines are written, where several processes write to *fd*.

    Returns:
        The sink; closing it writes what is waiting. It is also closed when the interpreter ends.
    """
    global _setup  # noqa: PLW0603 (as structlog's own configuration, there is one in a process)
    # Whoever started this may have closed it.
    colors = sys.stdout is not None and sys.stdout.isatty()
    as_json = observe.log_format == "json" or (observe.log_format == "auto" and not colors)
    plain = render_json if as_json else console_renderer(colors=colors)

    def request_text(lines: list[_RequestLine]) -> bytes:
        _clean(lines)
        return b"".join([plain(each.fields()) for each in lines])

    render_requests = _request_json if as_json else request_text
    render = plain if worker is None else _of_worker(plain, worker)
    processor = _LineProcessor(render)

    sink = LineSink(fd, processor.dropped, processor.again, alone=alone)
    atexit.register(sink.close)
    level = _LEVELS[observe.log_level]
    chain: list[Any] = [processor]
    _setup = _Setup(chain, processor, render_requests, sink, level, worker)
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
