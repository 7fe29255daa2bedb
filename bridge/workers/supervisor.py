"""The parent of the workers (wiring): it takes the ports, starts them, starts again who dies, and ends them all.

It serves nobody, so nothing that comes over the network can hurt it. A worker that ends with 69 or 78 ends all with that
code: starting it again would change nothing, but for files that are read again. Any other end is a death: see `Lives`.
"""

import asyncio
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from typing import Final

import structlog

import bridge
from bridge.config import Config, Effective
from bridge.flow.timers import is_set_within
from bridge.limits import (
    WORKER_KILL_MARGIN_S,
    WORKER_RESTART_BASE_DELAY_S,
    WORKER_RESTART_DELAY_S_MAX,
    WORKER_SHORT_LIFE_S,
    WORKER_SHORT_LIVES_MAX,
)
from bridge.process.files import cursor_key_of
from bridge.process.ports import take_ports
from bridge.process.reloads import reloadable_files
from bridge.process.shutdown import (
    EXIT_CONFIG,
    EXIT_OK,
    EXIT_SOFTWARE,
    EXIT_UNAVAILABLE,
    Stop,
    told,
    worst,
)
from bridge.telemetry.logs import configure
from bridge.workers.handover import DRAIN, HURRY, RELOAD, Handover, write_handover
from bridge.workers.memory import SharedMemory, make_memory_file


class Lives:
    """The short lives in a row of one worker."""

    def __init__(self) -> None:
        self._short = 0

    def ended(self, lived_s: float) -> float | None:
        """A life of *lived_s* is over.

        Returns:
            Seconds until the next one begins, 0 for the first short one; None where there shall be no other.
        """
        if lived_s >= WORKER_SHORT_LIFE_S:
            self._short = 0
            return 0.0
        self._short += 1
        if self._short >= WORKER_SHORT_LIVES_MAX:
            return None
        if self._short == 1:
            return 0.0
        return min(WORKER_RESTART_DELAY_S_MAX, WORKER_RESTART_BASE_DELAY_S * 2.0 ** (self._short - 2))


_SECRET_BYTES: Final = 32
_FINAL: Final = (EXIT_UNAVAILABLE, EXIT_CONFIG)
#: Before a worker listens for signals, one that ends every process of a service ends it like this; nothing was begun.
_ENDED_EARLY: Final = (-signal.SIGTERM, -signal.SIGHUP)

_log = structlog.get_logger("bridge.workers")


def run_workers(effective: Effective, count: int, *, command: str) -> int:
    """Run *count* workers until a signal, and return the exit code; what went wrong is in the log.

    Args:
        command: of `bridge`, that is a worker.
    """
    memory_fd = make_memory_file()
    memory = SharedMemory(memory_fd, count)
    sink = configure(effective.config.observe, worker=0, alone=memory.line_lock)
    try:
        for warning in effective.warnings:
            _log.warning("configuration", advice=warning)
        code = asyncio.run(_Supervisor(effective.config, count, memory_fd, command).run())
    except KeyboardInterrupt:
        return EXIT_OK
    except BaseException as error:  # noqa: BLE001 (the outermost frame: whatever it is becomes an exit code)
        return told(error, _log)
    else:
        _log.info("stopped", exit_code=code)
        return code
    finally:
        sink.close()


class _Supervisor:
    def __init__(self, config: Config, count: int, memory_fd: int, command: str) -> None:
        self._config = config
        self._command = command
        self._count = count
        self._memory_fd = memory_fd
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._stop = Stop()
        self._ports: list[list[socket.socket]] = []
        self._metrics_sockets: list[socket.socket] | None = None
        self._living: dict[int, Process] = {}
        self._codes: list[int] = []

    async def run(self) -> int:
        """Until a signal or a final end; the worst of the codes.

        Raises:
            StartupError: if a port is not to be had.
        """
        self._stop.listen(reload=self._reload if reloadable_files(self._config) else None)
        http, metrics_port = self._config.http, self._config.observe.metrics_port
        self._ports = take_ports(http.host, http.port, self._count)
        try:
            if metrics_port:
                (self._metrics_sockets,) = take_ports(http.host, metrics_port, 1)
            _log.info(
                "listening",
                version=bridge.__version__,
                host=http.host,
                port=self._ports[0][0].getsockname()[1],
                metrics_port=metrics_port or None,
                workers=self._count,
            )
            # One for all workers: a client's next request comes to any of them.
            http = replace(http, cursor_key=cursor_key_of(self._config))
            self._config = replace(self._config, http=http)
            async with asyncio.TaskGroup() as group:
                end = group.create_task(self._end(), name="end")
                keepers = [
                    group.create_task(self._keep(slot), name=f"worker-{slot + 1}")
                    for slot in range(self._count)
                ]
                await asyncio.wait(keepers)
                end.cancel()
        finally:
            for process in self._living.values():
                process.kill()
            self._close_ports()
            self._stop.ignore()
        return worst(self._codes)

    async def _keep(self, slot: int) -> None:
        """Run one worker after the other in this slot."""
        lives, began = Lives(), False
        while not self._stop.asked.is_set():
            process = await self._start(slot)
            started_s = time.monotonic()
            code = await process.wait()
            del self._living[slot]
            lived_s = time.monotonic() - started_s
            if self._stop.asked.is_set():
                self._codes.append(EXIT_OK if code in _ENDED_EARLY else code)
                return
            if code == EXIT_CONFIG and began and reloadable_files(self._config):
                # A file has been broken since the start: the others serve on by what they have read, and it may be mended.
                delay_s: float | None = WORKER_RESTART_DELAY_S_MAX
            else:
                delay_s = None if code in _FINAL else lives.ended(lived_s)
            began = True
            _log.error(
                "worker_ended",
                ended=slot + 1,
                pid=process.pid,
                exit_code=code,
                lived_s=round(lived_s, 3),
                again_in_s=delay_s,
            )
            if delay_s is None:
                self._codes.append(code if code in _FINAL else EXIT_SOFTWARE)
                self._stop.asked.set()
                return
            await is_set_within(self._stop.asked, delay_s)

    async def _start(self, slot: int) -> Process:
        handover = Handover(
            config=self._config,
            slot=slot,
            count=self._count,
            secret=self._secret,
            memory_fd=self._memory_fd,
            port_fds=[each.fileno() for each in self._ports[slot]],
            metrics_fds=None
            if self._metrics_sockets is None
            else [each.fileno() for each in self._metrics_sockets],
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge",
            self._command,
            stdin=PIPE,
            pass_fds=handover.fds,
            # A terminal's ^C is for the parent alone.
            process_group=0,
        )
        self._living[slot] = process
        _log.info("worker_started", started=slot + 1, pid=process.pid)
        _tell(process, write_handover(handover))
        if self._stop.asked.is_set():
            _tell(process, DRAIN)
        return process

    async def _end(self) -> None:
        """Once asked to: every worker drains, for no longer than the grace."""
        http = self._config.http
        await self._stop.asked.wait()
        _log.info("draining", workers=len(self._living), grace_s=http.shutdown_grace_s)
        self._tell_all(DRAIN)
        ends = asyncio.create_task(asyncio.sleep(http.shutdown_grace_s + WORKER_KILL_MARGIN_S))
        hurry = asyncio.create_task(self._stop.hurry.wait())
        # While balancers look elsewhere the workers still accept; then nobody would, and callers would wait in vain.
        await asyncio.wait({hurry}, timeout=http.drain_delay_s)
        self._close_ports()
        await asyncio.wait({hurry, ends}, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            self._tell_all(HURRY)
        await ends
        for slot, process in self._living.items():
            _log.error("worker_killed", killed=slot + 1, pid=process.pid)
            process.kill()

    def _reload(self) -> None:
        """Here nothing is read from those files."""
        self._tell_all(RELOAD)

    def _tell_all(self, word: bytes) -> None:
        for process in self._living.values():
            _tell(process, word)

    def _close_ports(self) -> None:
        for sockets in (*self._ports, self._metrics_sockets or ()):
            for each in sockets:
                each.close()


def _tell(process: Process, words: bytes) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(words)
