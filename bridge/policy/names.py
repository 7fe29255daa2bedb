"""Names, and the whole numbers of a query string (pure)."""

import re
from typing import Any, Final

from bridge.errors import BadRequest
from bridge.limits import FAULT_NAME_CHARS_MAX, NAME_CHARS_MAX

_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
#: The rules of `check_name` as JSON Schema.
NAME_SCHEMA: Final[dict[str, Any]] = {
    "minLength": 1,
    "maxLength": NAME_CHARS_MAX,
    "pattern": f"^(?![0-9]+$){_NAME.pattern}$",
}
_SHOWABLE: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{FAULT_NAME_CHARS_MAX}}}")
_DIGITS: Final = re.compile(r"[0-9]+")
# Leading zeros mean nothing, no bound has so many digits, and Python refuses to read some thousand.
_DIGITS_READ: Final = 40


def check_name(name: str, *, kind: str) -> str:
    """The name itself, if streams, topics and consumers may be called so.

    Args:
        name: 1..`NAME_CHARS_MAX` ASCII letters, digits and `.` `_` `-`, which stand only between letters or digits and
            never side by side; not digits only.
        kind: what it is the name of, for the fault: "stream", "topic", "consumer".

    Raises:
        BadRequest: if it breaks one of these rules; the detail says which, and never shows the name.

    Source: shared api.md, "Names of streams and topics". Iggy's clients read a name of digits only as an id.
    """
    if len(name) > NAME_CHARS_MAX:
        raise BadRequest(
            f"The {kind} name has more than {NAME_CHARS_MAX} characters.", path=kind, limit=NAME_CHARS_MAX
        )
    if not name:
        raise BadRequest(f"The {kind} name is empty.", path=kind)
    if _NAME.fullmatch(name) is None:
        raise BadRequest(
            f"The {kind} name may hold ASCII letters and digits, and between them single '.', '_' or '-'.",
            path=kind,
        )
    if _DIGITS.fullmatch(name) is not None:
        raise BadRequest(f"The {kind} name is digits only, which log clients read as an id.", path=kind)
    return name


def parse_integer(text: str, *, name: str, minimum: int, maximum: int) -> int:
    """The whole number that *text* spells in ASCII digits.

    Raises:
        BadRequest: if it is no such number, or out of bounds (0 or more); the detail gives them, and the *name*.
    """
    limit = None
    if _DIGITS.fullmatch(text) is not None:
        number = int(text.lstrip("0")[:_DIGITS_READ] or "0")
        if minimum <= number <= maximum:
            return number
        limit = maximum if number > maximum else minimum
    raise BadRequest(
        f"The query parameter '{name}' takes a whole number from {minimum} to {maximum}.",
        path=name,
        limit=limit,
    )


def parse_flag(text: str, *, name: str) -> bool:
    """What `true` or `false` says; any other word is a `BadRequest`."""
    if text not in ("true", "false"):
        raise BadRequest(f"The query parameter '{name}' takes true or false.", path=name)
    return text == "true"


def shown_name(name: str) -> str:
    """A field's or parameter's name as a fault may show it: quoted where harmless, else only told to be there."""
    return f"'{name}'" if _SHOWABLE.fullmatch(name) else "(a name that is not shown)"
