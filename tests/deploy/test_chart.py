"""Claims about the Helm chart and the Kustomize base (shell): valid, restricted, and the same."""

import json
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from bridge import limits
from tests.deploy.generated import MADE
from tests.deploy.manifests import CHART, KUBERNETES, ROOT, by_kind, manifest
from tests.support.programs import checked, needs, program

#: Of what the Prometheus operator brings, the validator has no schema.
OPERATOR: Final = {"PrometheusRule", "ServiceMonitor"}
#: Made by whoever installs, not by the chart.
BASE_ONLY: Final = {"Namespace", "Secret"}
EVERYTHING: Final = ("ingress.enabled=true", "monitoring.enabled=true", "tls.secret=bridge-tls")
VERSION: Final = kubernetes_validate.latest_version()
kustomizes = pytest.mark.skipif(
    program("kustomize") is None and program("kubectl") is None, reason="needs kustomize or kubectl on PATH"
)


def helm(*values: str, release: str = "bridge") -> dict[str, dict[str, Any]]:
    """What the chart renders, by kind."""
    given = [word for value in values for word in ("--set", value)]
    command = ["helm", "template", release, CHART, "--namespace", "bridge", "--kube-version", VERSION, *given]
    return by_kind(checked(*command))


def refused(*values: str) -> str:
    """What helm says of values that it does not take."""
    with pytest.raises(AssertionError) as error:
        helm(*values)
    return str(error.value)


def by_name(each: dict[str, Any]) -> str:
    return str(each["name"])


def kustomize(folder: Path) -> dict[str, dict[str, Any]]:
    if program("kustomize") is not None:
        return by_kind(checked("kustomize", "build", "--load-restrictor", "LoadRestrictionsNone", folder))
    return by_kind(checked("kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder))


def overlay(folder: Path) -> Path:
    """The base with all components, as one of yours would have it."""
    folder.mkdir()
    text = {
        "resources": ["./base"],
        "components": ["./base/monitoring", "./base/ingress", "./base/tls"],
    }
    (folder / "base").symlink_to(KUBERNETES)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return folder


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Without what only helm adds: whose release it is, and a mark that makes pods anew."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for label in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
        copy["metadata"].get("labels", {}).pop(label, None)
    # A patch puts in front what a chart puts at the end.
    for container in copy.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
        container["env"].sort(key=by_name)
        container["volumeMounts"].sort(key=by_name)
        copy["spec"]["template"]["spec"]["volumes"].sort(key=by_name)
    template = copy.get("spec", {}).get("template", {}).get("metadata", {})
    if template.pop("annotations", {"checksum/config": ""}).keys() != {"checksum/config"}:
        raise ValueError("annotations of pods that are not looked at")
    return copy


@pytest.mark.parametrize("path", list(MADE), ids=lambda path: path.name)
def test_what_is_made_is_the_newest(path: Path) -> None:
    assert path.read_text() == MADE[path], "run: python -m tests.generated"


@needs("helm")
def test_helm_finds_nothing_in_the_chart() -> None:
    assert "0 chart(s) failed" in checked("helm", "lint", "--strict", CHART)


@needs("helm")
@kustomizes
def test_chart_and_base_render_the_same_by_default() -> None:
    base = {kind: each for kind, each in kustomize(KUBERNETES).items() if kind not in BASE_ONLY}
    assert {kind: plain(each) for kind, each in helm().items()} == {
        kind: plain(each) for kind, each in base.items()
    }


@needs("helm")
@kustomizes
def test_chart_and_base_render_the_same_with_everything(tmp_path: Path) -> None:
    rendered = kustomize(overlay(tmp_path / "overlay"))
    base = {kind: each for kind, each in rendered.items() if kind not in BASE_ONLY}
    assert {kind: plain(each) for kind, each in helm(*EVERYTHING).items()} == {
        kind: plain(each) for kind, each in base.items()
    }
    assert base.keys() >= {"Ingress", *OPERATOR}


@needs("helm")
@pytest.mark.parametrize(
    "values",
    [
        (),
        EVERYTHING,
        ("autoscaling.enabled=false", "replicas=2", "networkPolicy.enabled=false"),
        ("nodeSelector.disk=fast", "tolerations[0].key=a", "tolerations[0].operator=Exists"),
        ("tls.secret=a", "tls.clientCertificates=required", "sharedLimits.enabled=true"),
        ("image.tag=1.2.3", "image.pullSecrets[0].name=registry"),
    ],
)
def test_what_the_chart_renders_is_valid_with_no_unknown_field(values: tuple[str, ...]) -> None:
    for kind, document in helm(*values).items():
        if kind not in OPERATOR:
            kubernetes_validate.validate(document, VERSION, strict=True)


def probes_of(*values: str) -> list[tuple[str, str]]:
    """Port and scheme of each probe."""
    (container,) = helm(*values)["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    return [(each["port"], each.get("scheme", "HTTP")) for each in asked]


@needs("helm")
@pytest.mark.parametrize(
    "values,probed",
    [
        ((), ("http", "HTTP")),
        (("tls.secret=bridge-tls",), ("http", "HTTPS")),
        (("tls.secret=bridge-tls", "tls.clientCertificates=optional"), ("http", "HTTPS")),
        (("tls.secret=bridge-tls", "tls.clientCertificates=required"), ("metrics", "HTTP")),
    ],
)
def test_probes_ask_where_they_are_answered(values: tuple[str, ...], probed: tuple[str, str]) -> None:
    assert probes_of(*values) == [probed] * 3


@needs("helm")
def test_the_secret_of_tls_is_mounted_as_a_folder_so_that_what_is_renewed_shows_in_it() -> None:
    pod = helm("tls.secret=mine", "tls.clientCertificates=optional")["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environ = {each["name"]: each["value"] for each in container["env"]}
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert "subPath" not in mounts["/run/secrets/bridge-tls"]
    assert {name: value for name, value in environ.items() if name.startswith("TLS_")} == {
        "TLS_CERT_FILE": "/run/secrets/bridge-tls/tls.crt",
        "TLS_KEY_FILE": "/run/secrets/bridge-tls/tls.key",
        "TLS_CLIENT_CA_FILE": "/run/secrets/bridge-tls/ca.crt",
        "TLS_CLIENT_AUTH": "optional",
    }
    assert {"secretName": "mine", "defaultMode": 0o440} in [each.get("secret") for each in pod["volumes"]]
    assert "needs tls.secret" in refused("tls.clientCertificates=required")


@needs("helm")
def test_pods_that_share_limits_know_their_redis_and_may_reach_it() -> None:
    rendered = helm("sharedLimits.enabled=true", "sharedLimits.redisPort=6380")
    (container,) = rendered["Deployment"]["spec"]["template"]["spec"]["containers"]
    named = {"name": "RATE_LIMIT_STORAGE_URI_FILE", "value": "/run/secrets/bridge/rate-limit-storage-uri"}
    assert named in container["env"]
    reached = [port["port"] for rule in rendered["NetworkPolicy"]["spec"]["egress"] for port in rule["ports"]]
    assert 6380 in reached


@needs("helm")
def test_without_autoscaling_the_number_of_pods_is_what_it_is_told() -> None:
    rendered = helm("autoscaling.enabled=false", "replicas=2")
    assert "HorizontalPodAutoscaler" not in rendered
    assert rendered["Deployment"]["spec"]["replicas"] == 2


@needs("helm")
def test_every_release_has_names_and_selectors_of_its_own() -> None:
    for document in helm(*EVERYTHING, release="other").values():
        assert document["metadata"]["name"] == "other"
    deployment = helm(release="other")["Deployment"]["spec"]
    assert deployment["selector"]["matchLabels"] == {"app.kubernetes.io/name": "other"}
    assert deployment["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": "other"}


@needs("helm")
def test_pods_are_made_anew_when_a_setting_changes() -> None:
    def mark(*values: str) -> str:
        annotations = helm(*values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    assert mark() != mark("config.LOG_LEVEL=debug")


@needs("helm")
@pytest.mark.parametrize(
    "value,said",
    [
        ("replicass=3", "replicass"),
        ("replicas=0", "replicas"),
        ("config.RATE_LIMIT=5", "RATE_LIMIT"),
        ("config.API_KEY=secret", "API_KEY"),
        ("config.METRICS_PORT=0", "METRICS_PORT"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("ingress.enabled=perhaps", "enabled"),
        ("existingSecret=", "existingSecret"),
        ("terminationGracePeriodSeconds=30", "DRAIN_DELAY_SECS"),
        ("config.SHUTDOWN_GRACE_SECS=34.5", "no fault"),
        ("config.SHUTDOWN_GRACE_SECS=35", "SHUTDOWN_GRACE_SECS"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(value: str, said: str) -> None:
    if said == "no fault":
        assert helm(value)
    else:
        assert said in refused(value)


def test_the_operators_resources_find_service_and_port() -> None:
    (monitor,) = by_kind((KUBERNETES / "monitoring" / "servicemonitor.yaml").read_text()).values()
    service = manifest("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "bridge"} in endpoint["relabelings"]
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "bridge.rules.yaml").read_text())
    (rule,) = by_kind((KUBERNETES / "monitoring" / "prometheusrule.yaml").read_text()).values()
    assert rule["spec"] == rules


@pytest.mark.parametrize("version", ["1.34", VERSION])
def test_the_ingress_is_valid_and_lets_streams_last(version: str) -> None:
    (ingress,) = by_kind((KUBERNETES / "ingress" / "ingress.yaml").read_text()).values()
    kubernetes_validate.validate(ingress, version, strict=True)
    given = {key.rpartition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert given["proxy-buffering"] == given["proxy-request-buffering"] == "off"
    assert float(given["proxy-read-timeout"]) > limits.WAIT_MS_MAX / 1000
    assert given["proxy-body-size"] == "0"
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = manifest("Service")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert ingress["spec"]["tls"], "never without TLS"
