"""What the documents tell their reader to type (pure): the blocks of a page, and the steps of a block."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.readme.generated import DOCS, ROOT

__all__ = ("PAGES", "Block", "Step", "blocks_of", "steady")

#: What users read; CONTRIBUTING.md, SECURITY.md and the changelog show no commands to copy.
PAGES: Final = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

_BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
#: What differs from run to run, and how it is compared.
_CHANGING: Final = (
    (re.compile(r'"(\w+)":"2\d{3}-[^"]+Z"'), r'"\1":"TIME"'),
    (re.compile(r'"(request_id|id)":"[0-9a-f-]{36}"'), r'"\1":"ID"'),
    (re.compile(r"^retry: \d{4}$", re.MULTILINE), "retry: MS"),
    (re.compile(r'"retry_ms":\d{4}'), '"retry_ms":MS'),
    (re.compile(r'((?:^id: |"(?:next_)?cursor":"))[A-Za-z0-9_-]{20,}', re.MULTILINE), r"\1CURSOR"),
    (re.compile(r'"token":"[0-9a-f]{74}"'), '"token":"TOKEN"'),
)


class Block(NamedTuple):
    """One fenced block of a page.

    Attributes:
        language: `console` (lines that begin with `$ `, each with what it prints), `sh` (a script), or one that is not run.
        not_run: why not, where the line above it says so.
    """

    language: str
    text: str
    not_run: str | None

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return self.language in ("console", "sh") and self.not_run is None


class Step(NamedTuple):
    """*output* None: whatever it prints."""

    command: str
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    """All blocks of *page* in their order."""
    return [
        Block(found["language"], found["text"], found["why"]) for found in _BLOCK.finditer(page.read_text())
    ]


def steps_of(block: Block) -> list[Step]:
    """What a reader runs, one after the other."""
    if block.language == "sh":
        return [Step(block.text, None)]
    begun = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not begun[0], "a console block begins with a command"
    return [Step(*each.split("\n", 1)) for each in begun[1:]]


def steady(output: str) -> str:
    """*output* without what differs from run to run."""
    for pattern, text in _CHANGING:
        output = pattern.sub(text, output)
    return output.strip()
