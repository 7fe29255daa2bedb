"""What is under `deploy/` and the names of real settings, read for the claims beside this file (shell)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from bridge.config import SETTINGS
from bridge.config.setting import SettingSpec

ROOT: Final = Path(__file__).resolve().parents[2]
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
CHART: Final = ROOT / "deploy" / "helm" / "bridge"


def by_kind(text: str) -> dict[str, dict[str, Any]]:
    """Every document of *text*, by its kind; a kind that is there twice is an error."""
    found: dict[str, dict[str, Any]] = {}
    for document in yaml.safe_load_all(text):
        if document is None:
            continue
        if document["kind"] in found:
            raise ValueError(f"a second {document['kind']}")
        found[document["kind"]] = document
    return found


def kubernetes_manifests() -> dict[str, dict[str, Any]]:
    """Every document of every manifest of the base, by its kind."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return by_kind("\n---\n".join((KUBERNETES / name).read_text() for name in listed))


def manifest(kind: str) -> dict[str, Any]:
    return kubernetes_manifests()[kind]


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    return document


def dockerfile_instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest) pairs, comments dropped and continued lines joined."""
    written = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in written if not line.lstrip().startswith("#")).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, rest in pairs]


def dockerfile_last_stage() -> list[tuple[str, str]]:
    everything = dockerfile_instructions()
    start = max(place for place, (word, _) in enumerate(everything) if word == "FROM")
    return everything[start:]


def dockerfile_environment() -> dict[str, str]:
    """What the last stage's ENV lines set."""
    return dict(
        pair.split("=", 1) for name, rest in dockerfile_last_stage() if name == "ENV" for pair in rest.split()
    )


def settings() -> Iterator[tuple[SettingSpec, Any]]:
    """Every setting of the bridge with its default."""
    return ((each.spec, each.default) for each in SETTINGS)


def setting_names() -> set[str]:
    """Every name the bridge reads from its environment, `<SECRET>_FILE` included."""
    names = {spec.env for spec, _ in settings()}
    return names | {f"{spec.env}_FILE" for spec, _ in settings() if spec.secret}
