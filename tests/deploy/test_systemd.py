"""Claims about `deploy/systemd/bridge.service` (shell): systemd takes it, little is open to it, and it fits the code."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridge.config import Inputs, SecretFile, parse
from bridge.process.rules import WIRING_RULES
from bridge.process.shutdown import EXIT_CONFIG
from tests.deploy.manifests import ROOT, setting_names, settings
from tests.support.programs import checked, needs

UNIT: Final = ROOT / "deploy" / "systemd" / "bridge.service"
#: Of systemd's own measure, from 0 (nothing is open to the service) to 100.
EXPOSURE_MAX: Final = 20
KEY: Final = "0123456789abcdef0123456789abcdef"


def options(*, on_iggy: bool = False) -> dict[str, list[str]]:
    """What the unit says, by name; with the lines for Iggy that are commented out."""
    text = UNIT.read_text()
    if on_iggy:
        text = re.sub(r"^#(\w+=)", r"\1", text, flags=re.MULTILINE)
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def environment(*, on_iggy: bool = False) -> dict[str, str]:
    lines = options(on_iggy=on_iggy)["Environment"]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def started(environ: Mapping[str, str], files: Mapping[str, str]) -> tuple[str, ...]:
    """The warnings of the bridge that is given these, once its configuration is taken."""
    return parse(
        Inputs(flags={}, environ=environ, read_secret=lambda path: SecretFile(files[path])),
        rules=WIRING_RULES,
    ).warnings


@needs("systemd-analyze")
def test_systemd_finds_nothing_in_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The one thing that is not there where tests run.
    unit.write_text(UNIT.read_text().replace("/opt/bridge/bin/bridge", os.path.realpath(sys.executable)))
    assert checked("systemd-analyze", "verify", unit) == ""


@needs("systemd-analyze")
def test_little_is_open_to_the_service() -> None:
    checked("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", UNIT)


def test_every_variable_is_a_real_setting_and_no_secret_stands_in_it() -> None:
    secrets = {spec.env for spec, _ in settings() if spec.secret}
    assert set(environment(on_iggy=True)) <= setting_names() - secrets


def test_the_bridge_takes_what_the_unit_gives_it() -> None:
    files = {"%d/api-key": KEY, "%d/iggy-connection-string": "iggy://iggy:password@127.0.0.1:8090"}
    assert started(environment(), files) == ()
    assert started(environment(on_iggy=True), files) == ()
    assert environment()["DATA_DIR"] == f"/var/lib/{options()['StateDirectory'][0]}"


def test_every_secret_is_a_credential_that_is_loaded() -> None:
    loaded = {line.partition(":")[0] for line in options(on_iggy=True)["LoadCredential"]}
    given = {value for name, value in environment(on_iggy=True).items() if name.endswith("_FILE")}
    assert given == {f"%d/{name}" for name in loaded}


def test_systemd_waits_longer_than_the_drain_takes_and_starts_no_wrong_configuration_again() -> None:
    defaults = {spec.env: default for spec, default in settings()}
    (stop_s,) = options()["TimeoutStopSec"]
    assert float(stop_s) > defaults["SHUTDOWN_GRACE_SECS"]
    assert options()["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]
