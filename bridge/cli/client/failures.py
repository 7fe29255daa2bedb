"""How a command ends (leaf): exit codes, and the one error that a person is told in a line."""

from dataclasses import KW_ONLY, dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    AUTH = 3
    NOT_FOUND = 4
    NOT_REACHABLE = 5
    #: As shells tell that Ctrl-C ended it.
    INTERRUPTED = 130


@dataclass(eq=False)
class CommandFailed(Exception):
    """The command cannot go on.

    Attributes:
        message: one sentence for people; no key and no body is in it.
        code: of the process.
        hint: what to do about it, or nothing.
        retryable: the same request may succeed later.
        retry_after_s: when, where the bridge says so; 0 where it does not.
        sure: nothing was written; False where nobody knows.
        path: of the request that was refused, or nothing.
        status: of the answer, or nothing.
        fault_at: what in the request is at fault, as the bridge names it, or nothing.
    """

    message: str
    code: ExitCode = ExitCode.FAILED
    _: KW_ONLY
    hint: str = ""
    retryable: bool = False
    retry_after_s: float = 0.0
    sure: bool = True
    path: str = ""
    status: str = ""
    fault_at: str = ""

    def __str__(self) -> str:
        return self.message


def wait_before_again(error: Exception) -> bool | float:
    """For `stamina`: seconds as the bridge says, True for its own backoff, False where another try is no use."""
    if not isinstance(error, CommandFailed) or not error.retryable:
        return False
    return error.retry_after_s or True
