"""What the bridge is made of can be told, package by package, with hashes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_names_every_package_that_serves_by_version_and_hash(tmp_path: Path) -> None:
    target = tmp_path / "bridge.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(ROOT / "requirements.txt")]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "-o", str(target)]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=120)
    bill = json.loads(target.read_text())
    assert bill["metadata"]["component"]["name"] == "bridge"
    told = {
        (each["name"], each["version"]): {
            found["content"]
            for reference in each["externalReferences"]
            for found in reference.get("hashes", ())
        }
        for each in bill["components"]
    }
    lock = (ROOT / "requirements.txt").read_text()
    locked = re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;]+)", lock, re.MULTILINE)
    assert set(told) == set(locked)
    assert all(told.values())
    assert set().union(*told.values()) == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))


def test_the_image_takes_its_base_by_a_variable_that_may_hold_a_digest() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["${BASE_IMAGE}", "${BASE_IMAGE}"]
