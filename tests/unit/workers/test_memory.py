"""What workers share, seen from two processes."""

import os
import subprocess
import sys

from bridge.policy.limit_storage import SharedStorage
from bridge.workers.memory import SharedMemory, make_memory_file
from tests.support.bridge_process import ROOT
from tests.support.clock import FakeClock

SECRET = b"0123456789abcdef"

HOLDER = """
import sys, time
from bridge.workers.memory import SharedMemory
memory = SharedMemory(int(sys.argv[1]), 2)
memory.bucket_locks.take(7)
memory.line_lock().__enter__()
memory.figures.write(1, b"from the other", 1.0)
print("held", flush=True)
time.sleep(600)
"""


def test_a_lock_excludes_another_process_and_is_free_once_that_is_killed() -> None:
    fd = make_memory_file()
    memory = SharedMemory(fd, 2)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(fd)], pass_fds=(fd,), stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not memory.bucket_locks.take(7)
        assert memory.bucket_locks.take(8)
        memory.bucket_locks.release(8)
        left = memory.figures.read(1)
        assert left is not None
        assert left.payload == b"from the other"
        holder.kill()
        holder.wait()
        assert memory.bucket_locks.take(7)
        memory.bucket_locks.release(7)
        with memory.line_lock():
            pass
    os.close(fd)


def test_the_two_tables_do_not_touch_each_other() -> None:
    fd = make_memory_file()
    memory = SharedMemory(fd, 1)
    clock = FakeClock()
    failures = SharedStorage(clock, memory=memory.failures, locks=memory.failure_locks, secret=SECRET)
    buckets = SharedStorage(clock, memory=memory.buckets, locks=memory.bucket_locks, secret=SECRET)
    for number in range(2000):
        failures.incr(f"k{number}", 60)
    assert memory.failure_locks.take(1)
    assert memory.bucket_locks.take(1)
    assert buckets.get("k1") == 0
    assert failures.get("k1") == 1
    assert memory.figures.read(0) is None
    os.close(fd)
