"""The parts of the documents that are made from the code (shell). `python -m tests.generated` writes them anew."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import inspect

from bridge import errors
from bridge.config import SETTINGS
from bridge.config.settings import SECTION_TITLES, default_text, range_text
from bridge.events.payloads import OrderItem, OrderPayload, UserPayload
from bridge.iggy.state import TRANSITIONS
from bridge.web.handlers.routes import ROUTES
from bridge.web.wire.problems import ROWS
from tests.bench.report import performance_part

__all__ = ("DOCS", "PARTS", "ROOT", "Part", "part_of", "write_parts")

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
# Both end the process before it serves; the third is only the base of others.
_NEVER_ANSWERED: Final = (errors.ConfigError, errors.StartupError, errors.RequestError)


class Part(NamedTuple):
    """*text* stands between the markers of its name in *page*."""

    page: Path
    text: str


def configuration() -> Iterator[str]:
    for section, settings in groupby(SETTINGS, key=lambda each: SECTION_TITLES[each.section]):
        yield f"\n### {section}\n"
        yield "| variable | default | allowed | meaning |"
        yield "| --- | --- | --- | --- |"
        for each in settings:
            default = f"`{default_text(each)}`" if default_text(each) else ""
            yield f"| `{each.env}` | {default} | {range_text(each)} | {each.spec.help} |".replace(
                "|  |", "| |"
            )
    yield ""


def problems() -> Iterator[str]:
    """A line for each condition, in the order of the table in the code."""
    yield "\n| status | `error` | title | `retryable` |"
    yield "| ---: | --- | --- | --- |"
    for error, row in ROWS.items():
        if error not in _NEVER_ANSWERED:
            yield f"| {row.status} | `{error.code}` | {row.title} | {'yes' if error.retryable else 'no'} |"
    yield ""


#: What a field of a payload takes, in words; an amount is kept as it was written.
_TAKES: Final[dict[type[inspect.Type], str]] = {
    inspect.UUIDType: "a UUID",
    inspect.StrType: "text",
    inspect.ListType: "a list of items, see below",
    inspect.RawType: "an amount",
}


def _takes(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(type=inner):
            return _takes(inner)
        case inspect.IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}"
        case inspect.EnumType(cls=words):
            return ", ".join(f"`{word}`" for word in words)
        case inspect.UnionType(types=kinds):
            return " or ".join(sorted((_takes(each) for each in kinds), reverse=True))
        case inspect.NoneType():
            return "null"
        case _:
            return _TAKES[type(kind)]


def _fields(kind: inspect.StructType) -> str:
    return "; ".join(
        f"`{field.encode_name}`{'' if field.required else '?'}: {_takes(field.type)}" for field in kind.fields
    )


def payloads() -> Iterator[str]:
    """What each kind of payload holds."""
    yield "\n| `type` | `action` | other fields of `data` |"
    yield "| --- | --- | --- |"
    for payload in (UserPayload, OrderPayload):
        data = inspect.type_info(payload.__annotations__["data"])
        assert isinstance(data, inspect.UnionType)
        for action in data.types:
            assert isinstance(action, inspect.StructType)
            yield f"| `{payload.__struct_config__.tag}` | `{action.tag}` | {_fields(action)} |"
    yield "| `Generic` | | `data` is any JSON |"
    item = inspect.type_info(OrderItem)
    assert isinstance(item, inspect.StructType)
    yield f"\nAn item of an order has {_fields(item)}.\n"


def connection() -> Iterator[str]:
    """The table as a mermaid state diagram, one line an edge, in the order of the table."""
    yield from ("", "```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(TRANSITIONS))}")
    for state, edges in TRANSITIONS.items():
        for event, edge in edges.items():
            yield f"    {state} --> {edge.state}: {event.__name__}"
        if not edges:
            yield f"    {state} --> [*]"
    yield from ("```", "")


def access() -> Iterator[str]:
    """A line for each path and what its methods ask for, in the order of the table in the code."""
    yield "\n| route | caller |"
    yield "| --- | --- |"
    for (path, needs), routes in groupby(ROUTES, key=lambda each: (each.path, each.access.needs)):
        yield f"| `{' '.join(each.method for each in routes)} {path}` | {needs or 'Whoever is let in.'} |"
    yield ""


PARTS: Final = {
    "access": Part(DOCS / "access.md", "\n".join(access())),
    "configuration": Part(DOCS / "configuration.md", "\n".join(configuration())),
    "connection": Part(DOCS / "architecture.md", "\n".join(connection())),
    "figures": Part(DOCS / "performance.md", performance_part()),
    "payloads": Part(DOCS / "http.md", "\n".join(payloads())),
    "problems": Part(DOCS / "http.md", "\n".join(problems())),
}


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}[^\n]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


def part_of(document: str, name: str) -> str:
    """What stands between the markers of *name*."""
    (found,) = _place(name).finditer(document)
    return found[2]


def write_parts() -> None:
    """Every part into its page."""
    for name, (page, text) in PARTS.items():
        document = page.read_text()
        (place,) = _place(name).finditer(document)
        page.write_text(f"{document[: place.end(1)]}{text}\n{document[place.start(3) :]}")
