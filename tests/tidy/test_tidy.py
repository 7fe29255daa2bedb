"""Rules of the house as tests over the source (pure): sizes, kinds, names, exports, and what must not stand anywhere."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
KINDS: Final = re.compile(r"\((?:leaf, )?(pure|shell|wiring|leaf)[;,) ]")
BANNED_NAMES: Final = {"utils", "util", "helpers", "helper", "common", "core", "manager"}
LEFTOVERS: Final = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
#: Hosts of package registries and their mirrors, spelt so that this file is not a finding of its own.
REGISTRY_HOSTS: Final = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("npmjs", "org"),
        ("maven", "org"),
        ("deb", "debian", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
        ("pkg", "dev"),
    )
)
LOG_CALLS: Final = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT_NAME: Final = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
TEXT_BYTES_MAX: Final = 1024 * 1024


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def repository_files() -> Iterator[Path]:
    """Every file that is or could be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    yield from (ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", sources("bridge"), ids=named)
def test_a_module_says_what_kind_it_is(path: Path) -> None:
    if path.name == "__init__.py":
        return
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "no docstring"
    first = docstring.split("\n\n")[0].replace("\n", " ") + " "
    assert KINDS.search(first), f"first sentence names no kind (pure, shell, wiring, leaf): {first}"


@pytest.mark.parametrize("path", [p for p in sources("bridge") if p.name == "__init__.py"], ids=named)
def test_an_init_file_holds_re_exports_or_nothing(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            assert re.match(r"__\w+__\b", ast.unparse(node)), ast.unparse(node)
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Try), ast.unparse(node)


@pytest.mark.parametrize("room", ["bridge", "tests", "fuzz"])
def test_no_file_is_longer_than_a_person_reads_at_once(room: str) -> None:
    long = {
        named(path): n for path in sources(room) if (n := len(path.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert not long


@pytest.mark.parametrize("room", ["bridge", "tests", "fuzz"])
def test_no_function_is_longer_than_a_screen(room: str) -> None:
    long = {
        f"{named(path)}:{function.name}": lines
        for path in sources(room)
        for function in functions(ast.parse(path.read_text()))
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert not long


def test_no_room_and_no_module_has_a_name_that_says_nothing() -> None:
    parts = {
        part
        for path in sources("bridge", "tests", "fuzz")
        for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert not parts & BANNED_NAMES


def test_each_name_of_a_class_is_one_class() -> None:
    places: dict[str, list[str]] = {}
    for path in sources("bridge"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{named(path)}:{node.lineno}")
    assert not {name: found for name, found in places.items() if len(found) > 1}


def is_named_for_nothing(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Util", "Utils"))


def is_string_slot(node: ast.AST) -> bool:
    """`app["name"]` and `request["name"]`, where a typed key belongs."""
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        and re.search(r"(^|\.)_?(app|request)$", ast.unparse(node.value)) is not None
    )


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def is_assert(node: ast.AST) -> bool:
    """A check that `python -O` would drop."""
    return isinstance(node, ast.Assert)


def is_private_import(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("bridge")
        and any(alias.name.startswith("_") and alias.name != "__version__" for alias in node.names)
    )


#: Each rule over the syntax with the smallest program that breaks it.
RULES: Final = (
    (is_named_for_nothing, "class LogManager: ..."),
    (is_string_slot, "def f(request): return request.app['log']"),
    (is_print, "print('x')"),
    (is_assert, "assert True"),
    (is_private_import, "from bridge.iggy.session import _dial"),
)
MAY_PRINT: Final = {"bridge/__main__.py"}


@pytest.mark.parametrize("rule,broken", RULES)
def test_a_rule_finds_what_it_forbids(rule: Callable[[ast.AST], bool], broken: str) -> None:
    assert any(rule(node) for node in ast.walk(ast.parse(broken)))


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES], ids=lambda rule: str(rule.__name__))
def test_the_bridge_keeps_a_rule(rule: Callable[[ast.AST], bool]) -> None:
    found = [
        f"{named(path)}:{getattr(node, 'lineno', '?')}"
        for path in sources("bridge")
        if not (rule is is_print and named(path) in MAY_PRINT)
        for node in ast.walk(ast.parse(path.read_text()))
        if rule(node)
    ]
    assert not found


def test_a_rule_is_never_switched_off_without_its_name() -> None:
    bare = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:))")
    found = [
        f"{named(path)}:{number}"
        for path in sources("bridge", "tests", "fuzz")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) and path != Path(__file__)
    ]
    assert not found


def test_nothing_is_left_to_be_done_later() -> None:
    found = [
        f"{named(path)}:{number}"
        for path in repository_files()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ""} and path.stat().st_size < TEXT_BYTES_MAX
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if LEFTOVERS.search(line)
    ]
    assert not found


def test_no_file_names_the_host_of_a_registry() -> None:
    found = [
        f"{named(path)}: {host}"
        for path in repository_files()
        if path.stat().st_size < TEXT_BYTES_MAX
        for host in REGISTRY_HOSTS
        if host in path.read_text(errors="replace").lower()
    ]
    assert not found


def test_no_answer_begins_without_what_every_answer_carries() -> None:
    senders = [
        path.name for path in sources("bridge") if re.search(r"(?<!super\(\))\.prepare\(", path.read_text())
    ]
    assert senders == ["answer_headers.py"]


@pytest.mark.parametrize("path", sources("bridge"), ids=named)
def test_what_the_log_tells_is_named_in_one_form(path: Path) -> None:
    calls = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args
    ]
    events = [
        node.args[0].value
        for node in calls
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in LOG_CALLS
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    assert [each for each in events if not EVENT_NAME.fullmatch(each)] == []


@pytest.mark.parametrize("path", sources("bridge"), ids=named)
def test_how_much_is_remembered_stands_with_the_other_bounds(path: Path) -> None:
    # One value that is made once has no bound worth a name.
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    caches = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "lru_cache"]
    bounds = [
        each.value if isinstance(each, ast.keyword) else each
        for node in caches
        for each in (*node.args, *node.keywords)
    ]
    assert [each.value for each in bounds if isinstance(each, ast.Constant) and each.value != 1] == []
