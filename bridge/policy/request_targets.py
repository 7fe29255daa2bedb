"""Which request targets are refused before anything looks at them (pure). Source: RFC 9112, section 3.2."""

import re
from typing import Final
from urllib.parse import unquote

from bridge.errors import BadRequest, MisdirectedRequest

__all__ = ("check_target",)

# What no name may hold, and what a proxy in front or a log behind may read differently than we do.
_FORBIDDEN: Final = re.compile(r"%(?:[01][0-9a-f]|2f|5c|7f)", re.IGNORECASE)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check_target(target: str, host: str) -> None:
    """
    Refuse targets that different readers read differently.

    Args:
        target: as it stood in the request line.
        host: the `Host` header.

    Raises:
        MisdirectedRequest: if it is in absolute form and names another host than *host*.
        BadRequest: if the path holds an encoded control character, slash or backslash, a broken escape, or a dot
            segment, plain or encoded.
    """
    if target[:1] != "/" and target != "*":
        scheme, mark, rest = target.partition("://")
        authority, slash, path = rest.partition("/")
        if not mark or scheme.lower() not in {"http", "https"} or authority.lower() != host.lower():
            raise MisdirectedRequest(path="Host")
        target = slash + path
    path = target.partition("?")[0]
    if "%" in path:
        if _FORBIDDEN.search(path) or _BROKEN_ESCAPE.search(path):
            raise BadRequest("The path holds an encoded character that no name may hold.", path="path")
        path = unquote(path)
        if "�" in path:
            raise BadRequest("The path is not UTF-8.", path="path")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise BadRequest("The path holds a dot segment.", path="path")
