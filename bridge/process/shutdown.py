"""The end of the process (shell): signals, steps that each have their time, and what the exit code says."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

import structlog

from bridge.errors import ConfigError, StartupError
from bridge.process.early_signals import hung_up_early

# Those of sysexits.h.
EXIT_OK: Final = 0
EXIT_UNAVAILABLE: Final = 69
EXIT_SOFTWARE: Final = 70
EXIT_CONFIG: Final = 78

_log = structlog.get_logger("bridge.serve")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The terminal is gone; there is none on Windows.
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
# The watchdog is for what no timeout of the event loop can end: a blocked loop, or a thread that hangs.
_WATCHDOG_MARGIN_S = 5.0
# For `finally` blocks of a step that was cut.
_UNWIND_S = 0.5


class Stop:
    """What signals ask for: the first one a drain, any further one haste.

    Never haste is a SIGHUP, which says that a terminal is gone: the kernel and the shell each send one, and systemd another
    right behind its SIGTERM.

    Where there is something to reload, a SIGHUP asks for that and for no end.

    Args:
        hurries: whether a further signal means haste. Not for a worker, who gets the same one twice where a whole group of
            processes is signalled, and is told by its parent.
    """

    def __init__(self, *, hurries: bool = True) -> None:
        self._hurries = hurries
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._reload: Callable[[], None] | None = None

    def listen(self, *, reload: Callable[[], None] | None = None) -> None:
        """Take SIGTERM, SIGINT and SIGHUP from now on, in the main thread's running loop, and a SIGHUP that came before.

        A SIGHUP that is ignored already stays so: this is how `nohup` asks that the end of the terminal be none of ours.

        Args:
            reload: what a SIGHUP means instead of the end, also where it was ignored; None where nothing can be reloaded.
        """
        self._reload = reload
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.signalled, number.name)
        if _HANGUP is not None and (reload or signal.getsignal(_HANGUP) is not signal.SIG_IGN):
            loop.add_signal_handler(_HANGUP, self.signalled, _HANGUP.name)
            # What is reloaded has yet to be read.
            if hung_up_early() and reload is None:
                self.signalled(_HANGUP.name)

    def ignore(self) -> None:
        """Pass over signals from now on: nothing is left to end, and the exit code is known.

        The loop, when it is closed, would leave them to their defaults, which end a process that did all well as killed.
        """
        loop = asyncio.get_running_loop()
        for number in (*_SIGNALS, *(() if _HANGUP is None else (_HANGUP,))):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def reload(self) -> None:
        """As a SIGHUP where there is something to reload; else nothing."""
        if self._reload is not None:
            self._reload()

    def signalled(self, name: str) -> None:
        if name == "SIGHUP" and self._reload is not None:
            _log.info("signal", name=name, reload=True)
            self._reload()
            return
        hurry = self._hurries and self.asked.is_set() and name != "SIGHUP"
        _log.info("signal", name=name, hurry=hurry)
        if hurry:
            self.hurry.set()
        self.asked.set()


async def bounded_step(
    name: str, work: Callable[[], Awaitable[None]], *, timeout_s: float, stop: Stop
) -> bool:
    """Do *work* for at most *timeout_s*, less when in a hurry, and go on whatever becomes of it.

    Returns:
        whether it was done; if not, the log says why.
    """

    async def body() -> None:
        await work()

    task = asyncio.create_task(body(), name=f"shutdown-{name}")
    hurried = asyncio.create_task(stop.hurry.wait(), name="shutdown-hurry")
    await asyncio.wait({task, hurried}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not task.done():
        task.cancel()
        _log.warning("shutdown_step_cut", step=name, timeout_s=round(timeout_s, 3), hurry=stop.hurry.is_set())
        # A task that swallows its cancellation must not take the steps after it along.
        await asyncio.wait({task}, timeout=_UNWIND_S)
        return False
    if task.cancelled() or (error := task.exception()) is None:
        return not task.cancelled()
    _log.error("shutdown_step_failed", step=name, exc_info=error)
    return False


class Watchdog:
    """Ends the process with 70 when a shutdown hangs where no timeout of the event loop reaches."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float) -> None:
        """From now on for *seconds* and a margin, instead of what was armed before."""
        self.disarm()
        self._timer = threading.Timer(seconds + _WATCHDOG_MARGIN_S, os._exit, (EXIT_SOFTWARE,))
        self._timer.name = "shutdown-watchdog"
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """The process lives, or ends by itself."""
        if self._timer is not None:
            self._timer.cancel()


def told(error: BaseException, log: Any) -> int:
    """Its exit code, once *log*, of structlog, has been told what ended the process."""
    code = exit_code(error)
    if code == EXIT_SOFTWARE:
        log.error("failed", exit_code=code, exc_info=error)
        return code
    event = "unavailable" if code == EXIT_UNAVAILABLE else "configuration"
    for cause in leaves(error):
        for detail in cause.faults if isinstance(cause, ConfigError) else (str(cause),):
            log.error(event, detail=detail, exit_code=code)
    return code


def exit_code(error: BaseException) -> int:
    """The exit code of what ended the process; of several errors at once, a fault of the program weighs most."""
    return worst(_code_of(each) for each in leaves(error))


def _code_of(error: BaseException) -> int:
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    return EXIT_UNAVAILABLE if isinstance(error, StartupError) else EXIT_SOFTWARE


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def worst(codes: Iterable[int]) -> int:
    """The one of several processes' exit codes that tells most; the end by a signal (negative) is a fault."""
    seen = {code if code in (EXIT_OK, EXIT_UNAVAILABLE, EXIT_CONFIG) else EXIT_SOFTWARE for code in codes}
    for code in (EXIT_SOFTWARE, EXIT_CONFIG, EXIT_UNAVAILABLE):
        if code in seen:
            return code
    return EXIT_OK
