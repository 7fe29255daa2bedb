"""Claims about `deploy/kubernetes` (shell): valid, restricted, and in step with the code."""

from copy import deepcopy
from typing import Any

import kubernetes_validate
import pytest

from bridge.web.handlers.routes import ROUTES
from tests.deploy.manifests import kubernetes_manifests, manifest, setting_names, settings

KINDS = {
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
}
# The oldest version that is still supported by its makers when this was written, and the newest the validator carries.
VERSIONS = ("1.34", kubernetes_validate.latest_version())


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    result: dict[str, Any] = only
    return result


def test_every_kind_that_is_promised_is_there() -> None:
    assert set(kubernetes_manifests()) == KINDS


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_manifest_is_valid_with_no_unknown_field(kind: str, version: str) -> None:
    kubernetes_validate.validate(manifest(kind), version, strict=True)


@pytest.mark.parametrize(
    "path,value",
    [
        (("spec", "replicaz"), 3),
        (("spec", "replicas"), "three"),
        (("spec", "template", "spec", "containers"), None),
        (("spec", "template", "spec", "securityContext", "runAsNonRoots"), True),
    ],
)
def test_the_validator_notices_a_broken_manifest(path: tuple[str, ...], value: object) -> None:
    broken = deepcopy(manifest("Deployment"))
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_pod_meets_the_restricted_standard_and_more() -> None:
    spec, box = pod(), container()["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert box["allowPrivilegeEscalation"] is False
    assert box["capabilities"] == {"drop": ["ALL"]}
    assert box["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(set(volume) & {"emptyDir", "secret"} for volume in spec["volumes"])
    assert container()["resources"]["limits"]["memory"]
    labels = manifest("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_variable_is_a_real_setting_within_its_bounds() -> None:
    data = manifest("ConfigMap")["data"]
    assert set(data) <= setting_names()
    for spec, _ in settings():
        if spec.env not in data:
            continue
        if spec.choices:
            assert data[spec.env] in spec.choices
        if spec.minimum is not None:
            assert spec.minimum <= float(data[spec.env])
        if spec.maximum is not None:
            assert float(data[spec.env]) <= spec.maximum
    assert {entry["name"] for entry in container()["env"]} <= setting_names()


def test_no_secret_is_a_plain_variable() -> None:
    secrets = {spec.env for spec, _ in settings() if spec.secret}
    given = set(manifest("ConfigMap")["data"]) | {entry["name"] for entry in container()["env"]}
    assert not secrets & given


def test_every_secret_file_is_a_key_of_the_mounted_secret() -> None:
    (mount,) = (m for m in container()["volumeMounts"] if m["name"] == "secrets")
    (volume,) = (v for v in pod()["volumes"] if v["name"] == "secrets")
    assert volume["secret"]["secretName"] == manifest("Secret")["metadata"]["name"]
    assert volume["secret"]["defaultMode"] & 0o007 == 0
    files = {e["value"] for e in container()["env"] if e["name"].endswith("_FILE")}
    assert files == {f"{mount['mountPath']}/{key}" for key in manifest("Secret")["stringData"]}


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_a_probe_asks_a_route_that_exists(probe: str) -> None:
    get = container()[probe]["httpGet"]
    assert ("GET", get["path"]) in {(route.method, route.path) for route in ROUTES}
    assert get["port"] == "http"


def test_liveness_never_depends_on_the_log() -> None:
    assert container()["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_kubernetes_waits_longer_than_the_drain_takes() -> None:
    data = manifest("ConfigMap")["data"]
    drain_s = float(data["DRAIN_DELAY_SECS"]) + float(data["SHUTDOWN_GRACE_SECS"])
    assert pod()["terminationGracePeriodSeconds"] > drain_s
    # The port closes only after the readiness probe has had time to take the pod out of the Service.
    probe = container()["readinessProbe"]
    assert float(data["DRAIN_DELAY_SECS"]) >= probe["periodSeconds"] * probe["failureThreshold"] + 2


def test_every_selector_finds_the_pods() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        manifest("Deployment")["spec"]["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(t["labelSelector"]["matchLabels"] for t in pod()["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= labels for selector in selectors)
    assert {
        m["metadata"].get("namespace") for k, m in kubernetes_manifests().items() if k != "Namespace"
    } == {manifest("Namespace")["metadata"]["name"]}


def test_every_port_that_is_named_is_open_in_the_pod() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert {port["targetPort"] for port in manifest("Service")["spec"]["ports"]} == set(ports)
    rules = manifest("NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == set(ports)
    defaults = {spec.env: default for spec, default in settings()}
    assert ports == {"http": defaults["PORT"], "metrics": int(manifest("ConfigMap")["data"]["METRICS_PORT"])}


def test_a_node_can_be_drained_and_some_pod_still_serves() -> None:
    scaler, budget = manifest("HorizontalPodAutoscaler")["spec"], manifest("PodDisruptionBudget")["spec"]
    assert scaler["minReplicas"] > budget["maxUnavailable"] >= 1


def test_the_number_of_pods_is_the_autoscalers_alone() -> None:
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = manifest("Deployment")
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]
