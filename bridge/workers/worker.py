"""One worker, from start to end (wiring): a bridge that is given its port, its tables and its parent's word."""

import asyncio
import os
import socket
from typing import Final, NoReturn

import structlog

from bridge.clock import Clock, SystemClock
from bridge.limits import WORKER_FIGURES_INTERVAL_S
from bridge.policy.limit_storage import LimitTables, SharedStorage
from bridge.process.listeners import ProcessContext
from bridge.process.serve import LoopFactory, run_logged
from bridge.process.shutdown import EXIT_SOFTWARE, Stop
from bridge.telemetry.logs import configure
from bridge.telemetry.worker_metrics import WorkerMetrics
from bridge.workers.handover import HURRY, RELOAD, Handover, read_handover
from bridge.workers.memory import SharedMemory

_STDIN_FD: Final = 0
_READ_BYTES: Final = 64

_log = structlog.get_logger("bridge.workers")


def run_worker(*, loop_factory: LoopFactory | None = None) -> int:
    """Serve as the worker that the parent at the other end of standard input describes; the exit code."""
    try:
        handover = read_handover(_STDIN_FD)
    except EOFError:
        return EXIT_SOFTWARE
    memory = SharedMemory(handover.memory_fd, handover.count)
    sink = configure(handover.config.observe, worker=handover.slot + 1, alone=memory.line_lock)
    clock = SystemClock()
    metrics = WorkerMetrics(memory.figures, handover.slot, clock)
    context = ProcessContext(
        metrics=metrics,
        port_sockets=_sockets(handover.port_fds),
        metrics_sockets=None if handover.metrics_fds is None else _sockets(handover.metrics_fds),
        limit_tables=_tables(handover, memory, clock),
        worker=handover.slot + 1,
        background=(("parent", _heed_parent), ("figures", lambda _: _publish(metrics))),
    )
    try:
        return run_logged(handover.config, context, stop=Stop(hurries=False), loop_factory=loop_factory)
    finally:
        metrics.publish()
        sink.close()


def _sockets(fds: list[int]) -> list[socket.socket]:
    return [socket.socket(fileno=fd) for fd in fds]


def _tables(handover: Handover, memory: SharedMemory, clock: Clock) -> LimitTables:
    return LimitTables(
        failures=SharedStorage(
            clock, memory=memory.failures, locks=memory.failure_locks, secret=handover.secret
        ),
        buckets=SharedStorage(
            clock, memory=memory.buckets, locks=memory.bucket_locks, secret=handover.secret
        ),
    )


async def _publish(metrics: WorkerMetrics) -> NoReturn:
    while True:
        metrics.publish()
        await asyncio.sleep(WORKER_FIGURES_INTERVAL_S)


async def _heed_parent(stop: Stop) -> None:
    """Reload and drain when the parent says so; drain when it is gone."""
    loop = asyncio.get_running_loop()
    os.set_blocking(_STDIN_FD, False)

    def told() -> None:
        try:
            said = os.read(_STDIN_FD, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            loop.remove_reader(_STDIN_FD)
            if not stop.asked.is_set():
                _log.warning("parent_gone")
        if RELOAD in said:
            stop.reload()
        if HURRY in said:
            stop.hurry.set()
        if not said or said.strip(RELOAD):
            stop.asked.set()

    loop.add_reader(_STDIN_FD, told)
