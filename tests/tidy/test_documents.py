"""What the documents of the repository name is there: files, bounds, libraries, and all that lies at the top level."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from bridge import limits

ROOT: Final = Path(__file__).resolve().parents[2]
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"
DOCUMENTS: Final = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
README_BYTES_MAX: Final = 10_240
#: Documents about the code; the others name files of their readers as well.
ABOUT_CODE: Final = (ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", ARCHITECTURE)
#: Paths of the tree in code marks; in the documents about the code, a module's path from the package on will do.
NAMED: Final = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml))`")
#: Paths of media types and of containers, which have the shape of one.
NO_PATHS: Final = re.compile(r"(?:application|text|image)/|v1/")


def section(document: Path, title: str) -> str:
    return document.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """What a heading is called in a link, as the pages that show Markdown make it."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_into_the_tree_leads_somewhere(document: Path) -> None:
    astray = []
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text()):
        there = document.parent / link if link else document
        if not there.exists() or (anchor and anchor not in anchors(there)):
            astray.append(f"{link}#{anchor}")
    assert astray == []


def test_the_readme_is_read_in_one_go() -> None:
    assert (ROOT / "README.md").stat().st_size <= README_BYTES_MAX


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = set(re.findall(r"\]\((\w+\.md)\)", index.read_text()))
    assert listed == {page.name for page in index.parent.glob("*.md")} - {index.name}


@pytest.mark.parametrize("document", ABOUT_CODE, ids=lambda path: path.name)
def test_a_file_that_is_named_is_there(document: Path) -> None:
    bases = (ROOT, ROOT / "bridge", ROOT / "bridge" / "web", ROOT / "bridge" / "web" / "middleware")
    named = {name for name in NAMED.findall(document.read_text()) if not NO_PATHS.match(name)}
    assert named or document.name == "CHANGELOG.md"
    loose = {path.name for path in (ROOT / "bridge").rglob("*.py")}
    assert [
        n for n in sorted(named) if n not in loose and not any((base / n).exists() for base in bases)
    ] == []


def test_contributing_lists_what_lies_at_the_top_level_and_nothing_else() -> None:
    listed = {
        name.rstrip("/")
        for cell in first_cells(section(ROOT / "CONTRIBUTING.md", "Top level"))
        for name in re.findall(r"`([^`]+)`", cell)
    }
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    there = {name.split("/", 1)[0] for name in files.splitlines() if (ROOT / name).exists()}
    assert listed == there


def test_every_room_of_the_package_is_told() -> None:
    told = set(re.findall(r"`bridge/(\w+)/", section(ROOT / "CONTRIBUTING.md", "Rooms")))
    assert told == {path.parent.name for path in (ROOT / "bridge").glob("*/__init__.py")}


@pytest.mark.parametrize("title", ["One POST, file by file", "One GET, file by file"])
def test_a_walk_through_has_less_than_ten_files(title: str) -> None:
    steps = re.findall(r"^\d\. `bridge/", section(ROOT / "CONTRIBUTING.md", title), re.MULTILINE)
    assert 5 < len(steps) < 10


def test_bounds_are_told_as_they_are() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) \|", section(ARCHITECTURE, "Limits"), re.MULTILINE)
    assert rows
    assert {name: value for name, value in rows if f"{getattr(limits, name):,.0f}" != value} == {}


def test_every_library_that_serves_is_told() -> None:
    told = {
        name
        for cell in first_cells(section(ARCHITECTURE, "Libraries"))
        for name in re.findall(r"`([^`]+)`", cell)
    }
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert told == {Requirement(each).name for each in asked}


def test_the_package_carries_the_licence_that_it_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    (licence,) = project["license-files"]
    first = (ROOT / licence).read_text().split()
    assert first[:4] == ["Apache", "License", "Version", "2.0,"]
