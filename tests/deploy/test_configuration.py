"""Claims about what the bridge makes of the variables that `deploy/` and the image give it (shell)."""

import re
from collections.abc import Mapping

import pytest

from bridge.clock import SystemClock
from bridge.config import Effective, Inputs, SecretFile, parse
from bridge.errors import ConfigError
from bridge.process.rules import WIRING_RULES
from bridge.web.rules import Rules
from tests.deploy.manifests import KUBERNETES, compose, dockerfile_environment, manifest

KEY = "0123456789abcdef0123456789abcdef"
CURSOR_KEY = "fedcba9876543210fedcba9876543210"
CONNECTION = "iggy://iggy:password@iggy:8090"


def started(environ: Mapping[str, str], secrets: Mapping[str, str]) -> Effective:
    """The configuration of a container with these variables on top of the image's, and these files."""

    def read_secret(path: str) -> SecretFile:
        return SecretFile(secrets[path])

    inputs = Inputs(flags={}, environ={**dockerfile_environment(), **environ}, read_secret=read_secret)
    return parse(inputs, rules=WIRING_RULES)


def pod_environment() -> dict[str, str]:
    (box,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    return {**manifest("ConfigMap")["data"], **{entry["name"]: entry["value"] for entry in box["env"]}}


def test_the_pod_starts_with_real_secrets_and_without_a_warning() -> None:
    files = {
        "/run/secrets/bridge/api-key": KEY,
        "/run/secrets/bridge/cursor-key": CURSOR_KEY,
        "/run/secrets/bridge/iggy-connection-string": CONNECTION,
    }
    effective = started(pod_environment(), files)
    assert effective.config.http.api_key == KEY
    assert effective.config.http.cursor_key == CURSOR_KEY
    assert effective.config.iggy.connection_string == CONNECTION
    assert effective.config.http.drain_delay_s < effective.config.http.shutdown_grace_s
    assert effective.warnings == ()


def test_the_pod_refuses_to_start_with_the_placeholders() -> None:
    files = {f"/run/secrets/bridge/{key}": text for key, text in manifest("Secret")["stringData"].items()}
    with pytest.raises(ConfigError) as refused:
        started(pod_environment(), files)
    for name in ("API_KEY", "CURSOR_KEY", "IGGY_CONNECTION_STRING"):
        assert any(fault.startswith(name) for fault in refused.value.faults)


def test_the_compose_service_starts_with_its_secrets_and_without_a_warning() -> None:
    files = {
        "/run/secrets/api_key": KEY,
        "/run/secrets/cursor_key": CURSOR_KEY,
        "/run/secrets/iggy_connection_string": CONNECTION,
    }
    effective = started(compose()["services"]["bridge"]["environment"], files)
    assert effective.config.iggy.connection_string == CONNECTION
    assert effective.warnings == ()


def test_a_pod_without_a_key_answers_to_every_name_of_its_service() -> None:
    text = (KUBERNETES / "configmap.yaml").read_text()
    written = dict(re.findall(r'^  # ([A-Z_]+): "?([^"\n]+)"?$', text, re.MULTILINE))
    environ = {**manifest("ConfigMap")["data"], **written}
    effective = started(environ, {})
    service = manifest("Service")["metadata"]
    hosts = Rules.of(effective.config.http, SystemClock()).hosts
    assert effective.warnings == ()
    assert hosts is not None
    name = f"{service['name']}.{service['namespace']}.svc.cluster.local"
    for host in (
        service["name"],
        name.removesuffix(".svc.cluster.local"),
        name.removesuffix(".cluster.local"),
        name,
    ):
        assert hosts.allows(host)
    assert hosts.allows("10.1.2.3:8000"), "probes and Prometheus call pods by their addresses"
    assert not hosts.allows("evil.example")


def test_with_its_key_a_pod_answers_to_any_name() -> None:
    files = {
        "/run/secrets/bridge/api-key": KEY,
        "/run/secrets/bridge/cursor-key": CURSOR_KEY,
        "/run/secrets/bridge/iggy-connection-string": CONNECTION,
    }
    assert Rules.of(started(pod_environment(), files).config.http, SystemClock()).hosts is None


def test_the_bare_image_refuses_to_start_until_somebody_decides_about_keys() -> None:
    with pytest.raises(ConfigError, match="API_KEY"):
        started({}, {})
    assert started({"API_KEY": KEY}, {}).config.local.data_dir == "/data"
    assert started({"ALLOW_ANONYMOUS": "true"}, {}).config.http.api_key is None
