"""Claims about the Dockerfile (shell): what the last stage is and what it leaves out."""

import json
import re
import tomllib

from tests.deploy.manifests import (
    ROOT,
    compose,
    manifest,
    setting_names,
)
from tests.deploy.manifests import dockerfile_environment as environment
from tests.deploy.manifests import dockerfile_instructions as instructions
from tests.deploy.manifests import dockerfile_last_stage as last_stage


def only(word: str) -> str:
    (value,) = (rest for name, rest in last_stage() if name == word)
    return value


def test_it_runs_as_a_number_that_is_not_root() -> None:
    user, group = only("USER").split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert manifest("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user)
    assert compose()["services"]["bridge"]["user"] == f"{user}:{group}"


def test_the_entrypoint_is_in_exec_form_so_that_signals_reach_the_bridge() -> None:
    assert json.loads(only("ENTRYPOINT"))[0].endswith("/bridge")
    assert json.loads(only("CMD")) == ["serve"]
    assert only("STOPSIGNAL") == "SIGTERM"


def test_it_brings_a_health_check_of_its_own() -> None:
    options, command = only("HEALTHCHECK").split(" CMD ")
    assert json.loads(command)[1:] == ["health"]
    assert {"--interval", "--timeout", "--start-period"} <= set(re.findall(r"--[a-z-]+", options))


def test_the_last_stage_installs_and_compiles_nothing() -> None:
    assert not [
        rest for name, rest in last_stage() if name == "RUN" and re.search(r"\b(apt|pip|gcc|make)\b", rest)
    ]
    copied = [rest for name, rest in last_stage() if name == "COPY"]
    assert copied == ["--from=builder /opt/bridge /opt/bridge"]


def test_every_package_comes_from_the_lock_with_its_hash() -> None:
    installs = [
        rest for name, rest in instructions() if name == "RUN" and " install " in rest and "pip" in rest
    ]
    assert installs
    assert all("--require-hashes" in rest or "--no-index" in rest for rest in installs)
    assert all("--only-binary :all:" in rest or "--no-index" in rest for rest in installs)


def test_the_base_image_is_a_bare_name_that_can_be_replaced() -> None:
    name, default = next(rest for word, rest in instructions() if word == "ARG").split("=")
    assert name == "BASE_IMAGE"
    assert re.fullmatch(r"python:[a-z0-9.-]+", default)
    assert {rest.split()[0] for word, rest in instructions() if word == "FROM"} == {"${BASE_IMAGE}"}


def test_its_variables_are_real_settings() -> None:
    own = {name for name in environment() if not name.startswith("PYTHON")} - {"PATH"}
    assert own <= setting_names()
    assert environment()["DATA_DIR"] in json.loads(only("VOLUME"))
    assert environment()["HOST"] == "0.0.0.0"
    assert only("EXPOSE") == environment()["PORT"]


def test_it_names_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"VERSION={version}" in [rest for name, rest in last_stage() if name == "ARG"]
    assert compose()["services"]["bridge"]["image"] == f"bridge:{version}"
    (box,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    assert box["image"] == f"bridge:{version}"


def test_the_build_sees_only_what_it_needs() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    needed = {
        part
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for part in rest.split()[:-1]
    }
    assert needed == allowed
