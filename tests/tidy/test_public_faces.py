"""No module leans on a name that a library keeps to itself, but for one, which says why and goes without where it must."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

ROOT = Path(bridge.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
#: Says which names it needs, checks at its start that they are there, and has a way without.
EXCEPTED = ROOT / "web" / "server" / "framed_protocol.py"
#: Documented, in spite of their first character: methods of named tuples, `os._exit`, `sys._current_frames`.
DOCUMENTED = frozenset({"_replace", "_asdict", "_fields", "_make", "_exit", "_current_frames"})


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def own_names(tree: ast.AST) -> set[str]:
    """What a module gives a private name: functions, classes, variables, fields, slots."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(attr=attr, ctx=ast.Store(), value=ast.Name(id="self")):
                names.add(attr)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Constant(value=str(text)):
                names.add(text)
            case _:
                pass
    return names


def with_bases(path: Path) -> set[str]:
    """The private names of a module and of those of ours that its classes derive from."""
    tree = ast.parse(path.read_text())
    bases = {
        base.id
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for each in node.bases
        if isinstance(base := each.value if isinstance(each, ast.Subscript) else each, ast.Name)
    }
    names = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and bases & {each.name for each in node.names}:
            of_base = ROOT.parent / ((node.module or "").replace(".", "/") + ".py")
            if of_base in FILES and of_base != EXCEPTED:
                names |= with_bases(of_base)
    return names


def said(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=attr, lineno=line) if is_private(attr):
                yield line, attr
            case ast.ImportFrom(module=module, names=names, lineno=line) if module is not None:
                for each in names:
                    if is_private(each.name):
                        yield line, each.name
            case _:
                pass


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_only_private_names_of_its_own(path: Path) -> None:
    if path == EXCEPTED:
        return
    own = with_bases(path)
    assert [(line, name) for line, name in said(ast.parse(path.read_text())) if name not in own] == []


def test_a_name_of_a_library_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "from aiohttp.x import _y\nclass A:\n  def f(self, b):\n    self._c = b._d\n    return b._c\n"
    )
    tree = ast.parse(module.read_text())
    assert {name for _, name in said(tree) if name not in own_names(tree)} == {"_y", "_d"}
