"""The parts of the README that are made from the code (shell). `python -m tests.readme.generated` writes them anew."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from bridge.config import SETTINGS
from bridge.config.settings import SECTION_TITLES, default_text, range_text
from bridge.iggy.state import TRANSITIONS
from bridge.telemetry.metrics import Metrics
from tests.bench.report import readme_part

__all__ = ("PARTS", "README", "part_of", "with_parts")

README: Final = Path(__file__).resolve().parents[2] / "README.md"


def configuration() -> Iterator[str]:
    for section, settings in groupby(SETTINGS, key=lambda each: SECTION_TITLES[each.section]):
        yield f"\n**{section}**\n"
        yield "| variable | default | allowed | meaning |"
        yield "| --- | --- | --- | --- |"
        for each in settings:
            default = f"`{default_text(each)}`" if default_text(each) else ""
            yield f"| `{each.env}` | {default} | {range_text(each)} | {each.spec.help} |".replace(
                "|  |", "| |"
            )
    yield ""


def metrics() -> Iterator[str]:
    body, _ = Metrics().render()
    yield "\n| metric | kind | what it says |"
    yield "| --- | --- | --- |"
    for family in text_string_to_metric_families(body.decode()):
        if family.name.startswith("bridge_"):
            suffix = "_total" if family.type == "counter" else ""
            yield f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |"
    yield ""


def connection() -> Iterator[str]:
    """The table as a mermaid state diagram, one line an edge, in the order of the table."""
    yield from ("", "```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(TRANSITIONS))}")
    for state, edges in TRANSITIONS.items():
        for event, edge in edges.items():
            yield f"    {state} --> {edge.state}: {event.__name__}"
        if not edges:
            yield f"    {state} --> [*]"
    yield from ("```", "")


PARTS: Final = {
    "configuration": "\n".join(configuration()),
    "connection": "\n".join(connection()),
    "figures": readme_part(),
    "metrics": "\n".join(metrics()),
}


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}[^\n]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


def part_of(readme: str, name: str) -> str:
    """What stands between the markers of *name*."""
    (found,) = _place(name).finditer(readme)
    return found[2]


def with_parts(readme: str) -> str:
    for name, text in PARTS.items():
        (place,) = _place(name).finditer(readme)
        readme = f"{readme[: place.end(1)]}{text}\n{readme[place.start(3) :]}"
    return readme


if __name__ == "__main__":
    README.write_text(with_parts(README.read_text()))
