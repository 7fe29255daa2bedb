"""Claims about `deploy/compose.monitoring.yaml` (shell): it fits the file beside it and what it mounts."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.dashboards import DASHBOARDS
from tests.deploy.manifests import ROOT, compose, setting_names

DEPLOY: Final = ROOT / "deploy"
MONITORING: Final = yaml.safe_load((DEPLOY / "compose.monitoring.yaml").read_text())
ADDED: Final = ("grafana", "prometheus")


def read(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def mounts(service: str) -> dict[str, Path]:
    """Where files of this tree are found in the container."""
    volumes = (volume.split(":") for volume in MONITORING["services"][service]["volumes"])
    return {target: DEPLOY / source for source, target, *_ in volumes if source.startswith("./")}


def test_it_adds_to_the_file_beside_it_and_takes_nothing_away() -> None:
    base, bridge = compose(), MONITORING["services"]["bridge"]
    assert MONITORING["name"] == base["name"]
    assert set(MONITORING["services"]) - set(base["services"]) == set(ADDED)
    assert set(bridge) == {"environment", "networks"}
    assert set(bridge["environment"]) <= setting_names() - set(base["services"]["bridge"]["environment"])
    assert set(bridge["networks"]) > set(base["services"]["bridge"]["networks"])


def test_prometheus_scrapes_the_port_that_the_bridge_opens_for_it() -> None:
    port = MONITORING["services"]["bridge"]["environment"]["METRICS_PORT"]
    (job,) = (
        job for job in read("prometheus/prometheus.yaml")["scrape_configs"] if job["job_name"] == "bridge"
    )
    assert job["static_configs"] == [{"targets": [f"bridge:{port}"]}]
    assert "monitoring" in MONITORING["services"]["bridge"]["networks"]
    assert "monitoring" in MONITORING["services"]["prometheus"]["networks"]


def test_the_configuration_that_prometheus_is_given_is_mounted_with_its_rules() -> None:
    (folder,) = mounts("prometheus").values()
    (flag,) = (word for word in MONITORING["services"]["prometheus"]["command"] if "config.file" in word)
    config = folder / Path(flag.partition("=")[2]).name
    assert all((folder / rules).exists() for rules in yaml.safe_load(config.read_text())["rule_files"])


def test_grafana_finds_its_dashboards_and_its_source() -> None:
    found = mounts("grafana")
    (provider,) = read("grafana/provisioning/dashboards/bridge.yaml")["providers"]
    dashboards = found[provider["options"]["path"]]
    assert {path.stem for path in dashboards.iterdir()} == {each.uid for each in DASHBOARDS}
    home = Path(MONITORING["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (found[str(home.parent)] / home.name).exists()
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_has_no_privilege_and_listens_on_loopback_only(name: str) -> None:
    service = MONITORING["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["image"].rpartition(":")[2][-1].isdigit(), "a version, not a moving name"


def test_no_password_stands_in_the_file() -> None:
    assert MONITORING["secrets"] == {"grafana_password": {"file": "./secrets/grafana_password"}}
    given = MONITORING["services"]["grafana"]["environment"]
    assert [name for name in given if "PASSWORD" in name] == ["GF_SECURITY_ADMIN_PASSWORD__FILE"]
