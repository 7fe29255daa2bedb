"""System calls of a child process on files of one directory, as strace saw them, in their order."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.bridge_process import ROOT, environment

__all__ = ("Call", "recorded")

_CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,rename"
_LINE = re.compile(r"^\d+ +(?P<rest>.*)$")
_ENTERED = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*?)(?: <unfinished \.\.\.>|\) += (?P<result>.*))$")
_RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>.*\) += (?P<result>.*)$")
_OPENED = re.compile(r"^\d+<(?P<path>[^>]*)>")
_FD = re.compile(r"^\d+<(?P<path>[^>]*)>")
# Of a call that the end of its process met.
_CUT_OFF = "?"
_DATA = re.compile(r'"(?P<data>(?:\\x[0-9a-f]{2})*)"')


class Call(NamedTuple):
    """
    One moment of a call.

    Attributes:
        name: open, write, truncate, sync, unlink or rename.
        path: of the file, or of the directory that is synced.
        done: False as it begins, True once it has returned well; only a sync has both, the others are told as they begin.
        offset: where a write goes, None for one that goes to the end; the size that a truncation leaves.
    """

    name: str
    path: str
    done: bool = False
    data: bytes = b""
    offset: int | None = None


def recorded(command: Sequence[str], directory: Path, trace: Path) -> tuple[list[Call], int]:
    """
    Run *command* to its end: what it called on files under *directory*, and its exit code.

    Args:
        trace: a file to be written by strace.
    """
    # Strings in hexadecimal and whole, the paths of descriptors; it stops at these calls alone, and the rest runs at speed.
    shown = [
        "-f",
        "--seccomp-bpf",
        "-xx",
        "-y",
        "-s",
        "10000000",
        "-e",
        f"trace={_CALLS}",
        "-e",
        "signal=none",
    ]
    done = subprocess.run(
        ["strace", *shown, "-o", str(trace), *command], env=environment({}), cwd=ROOT, check=False
    )
    with trace.open() as lines:
        return list(_calls(lines, str(directory))), done.returncode


def _calls(lines: Iterator[str], directory: str) -> Iterator[Call]:
    waiting: dict[str, Call] = {}
    for line in lines:
        thread = line.split(" ", 1)[0]
        found = _LINE.match(line)
        rest = found["rest"] if found else ""
        if resumed := _RESUMED.match(rest):
            begun = waiting.pop(thread, None)
            if begun is not None:
                yield from _ended(begun, resumed["result"])
            continue
        entered = _ENTERED.match(rest)
        if entered is None:
            continue
        call = _call(entered["name"], entered["arguments"])
        if call is None or not call.path.startswith(directory):
            continue
        if call.name != "open":
            yield call
        if entered["result"] is None:
            waiting[thread] = call
        else:
            yield from _ended(call, entered["result"])


def _ended(call: Call, result: str) -> Iterator[Call]:
    if result == _CUT_OFF:
        # Done or not: it is not synced, so a power cut has it both ways.
        return
    if call.name == "write":
        # A short one would have left something else behind than what was recorded.
        assert int(result) == len(call.data), result
    if call.name in ("sync", "truncate"):
        assert result.startswith("0"), result
    if call.name == "sync" or (call.name == "open" and not result.startswith("-")):
        yield call._replace(done=True)


def _call(name: str, arguments: str) -> Call | None:
    strings = [_text(each) for each in _DATA.findall(arguments)]
    fd = _FD.match(arguments)
    path = _text(fd["path"]).decode() if fd else ""
    last = arguments.rsplit(", ", 1)[-1]
    match name:
        case "openat":
            return Call("open", strings[0].decode()) if "O_CREAT" in arguments else None
        case "pwrite64":
            return Call("write", path, data=strings[0], offset=int(last))
        case "write":
            return Call("write", path, data=strings[0])
        case "ftruncate":
            return Call("truncate", path, offset=int(last))
        case "fsync" | "fdatasync":
            return Call("sync", path)
        case _:
            return Call(name, strings[0].decode())


def _text(shown: str) -> bytes:
    return bytes.fromhex(shown.replace("\\x", ""))
