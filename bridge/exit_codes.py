"""What the exit code of a process says (leaf, pure); the numbers are those of sysexits.h."""

from collections.abc import Iterable, Iterator
from typing import Final

from bridge.errors import ConfigError, StartupError

__all__ = ("EXIT_CONFIG", "EXIT_OK", "EXIT_SOFTWARE", "EXIT_UNAVAILABLE", "exit_code", "leaves", "worst")

EXIT_OK: Final = 0
EXIT_UNAVAILABLE: Final = 69
EXIT_SOFTWARE: Final = 70
EXIT_CONFIG: Final = 78


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
