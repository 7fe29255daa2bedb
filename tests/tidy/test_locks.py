"""Claims about the lock files (pure over the installed metadata): pip refuses what is not pinned as it is asked for."""

import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final, cast

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
#: Where the locks must hold; what is installed here asks for the same everywhere, but under markers.
PYTHONS: Final = ("3.11", "3.12", "3.13")


def pins(lock: str) -> dict[str, Requirement]:
    """What *lock* pins, by name; the hashes are left out. A name that is pinned by markers has the same extras in each."""
    found: dict[str, Requirement] = {}
    for line in (ROOT / lock).read_text().splitlines():
        if line and line[0] not in " #":
            pin = Requirement(line.rstrip("\\ "))
            found[canonicalize_name(pin.name)] = pin
    return found


def environments() -> Iterator[Mapping[str, str]]:
    here = cast("dict[str, str]", default_environment())
    for version in PYTHONS:
        yield {**here, "python_version": version, "python_full_version": f"{version}.0"}


def asked_by(pin: Requirement) -> set[tuple[str, frozenset[str]]]:
    """The packages that *pin* asks for with extras, and these, in any environment."""
    return {
        (canonicalize_name(asked.name), frozenset(asked.extras))
        for asked in map(Requirement, requires(pin.name) or ())
        if asked.extras
        and any(
            asked.marker is None or asked.marker.evaluate({**environment, "extra": extra})
            for environment in environments()
            for extra in ("", *pin.extras)
        )
    }


def unpinned_extras(lock: str) -> list[str]:
    pinned = pins(lock)
    found = []
    for name, pin in pinned.items():
        try:
            asked = asked_by(pin)
        except PackageNotFoundError:
            # Of another system or Python.
            continue
        found += [
            f"{name} asks for {other}[{','.join(sorted(extras))}], which {lock} pins without"
            for other, extras in asked
            if other not in pinned or not extras <= pinned[other].extras
        ]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_extra_that_a_locked_package_asks_of_another_is_pinned_with_it(lock: str) -> None:
    # pip 23.0 to 23.2 look for the extra among all versions as soon as there is a newer one, and find it without a hash.
    assert not unpinned_extras(lock)


def test_the_rule_above_sees_the_extras_of_what_is_installed() -> None:
    """That of coverage, which plain pytest-cov asks for."""
    assert asked_by(Requirement("pytest-cov")) == {("coverage", frozenset({"toml"}))}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_pin_is_one_version_with_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry]
    assert entries
    assert not [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def test_the_locks_pin_each_package_to_one_version_and_build_with_the_backend_that_is_asked_for() -> None:
    serving, dev, build = (
        pins("requirements.txt"),
        pins("requirements-dev.txt"),
        pins("requirements-build.txt"),
    )
    assert {name: str(pin) for name, pin in serving.items()} == {name: str(dev[name]) for name in serving}
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {canonicalize_name(Requirement(each).name) for each in asked} == set(build)


def test_nothing_that_only_tests_need_stands_in_the_lock_of_what_serves() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = {canonicalize_name(Requirement(each).name) for each in groups["dev"]}
    assert not tools & set(pins("requirements.txt"))


def test_make_run_installs_nothing_that_only_tests_need() -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "run"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "-r requirements.txt" in planned
    assert "requirements-dev.txt" not in planned
