"""What under `deploy/` is made from something else (shell). `python -m tests.generated` writes it."""

import json
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from tests.deploy.manifests import CHART, KUBERNETES, ROOT, settings

_RULES: Final = (ROOT / "deploy" / "prometheus" / "bridge.rules.yaml").read_text()
_PROMETHEUS_RULE: Final = """\
# Made from deploy/prometheus/bridge.rules.yaml by `python -m tests.generated`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: bridge
  namespace: bridge
  labels:
    app.kubernetes.io/name: bridge
spec:
"""

_TEXT: Final = {"type": "string"}
_NAME: Final = {"type": "string", "minLength": 1}
_FLAG: Final = {"type": "boolean"}
_COUNT: Final = {"type": "integer", "minimum": 1}
_PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535}
_LABELS: Final = {"type": "object", "additionalProperties": _TEXT}
_TIME: Final = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
_QUANTITY: Final = {"type": ["string", "integer"], "pattern": "^[0-9.]+(m|k|Ki|M|Mi|G|Gi)?$"}


def _object(**properties: Any) -> dict[str, Any]:
    """One that has all of these, and nothing else."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def values_schema() -> dict[str, Any]:
    """What the chart may be given; names of settings are those of the code, without secrets."""
    names = sorted(spec.env for spec, _ in settings() if not spec.secret and spec.env not in {"HOST", "PORT"})
    quantities = {"type": "object", "additionalProperties": _QUANTITY}
    schema = _object(
        image=_object(
            repository=_NAME,
            tag=_TEXT,
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
            pullSecrets={"type": "array", "items": _object(name=_NAME)},
        ),
        existingSecret=_NAME,
        tls=_object(secret=_TEXT, clientCertificates={"enum": ["none", "optional", "required"]}),
        sharedLimits=_object(enabled=_FLAG, redisPort=_PORT),
        config={
            "type": "object",
            "required": ["DRAIN_DELAY_SECS", "METRICS_PORT", "SHUTDOWN_GRACE_SECS"],
            "propertyNames": {"enum": names},
            "properties": {
                "METRICS_PORT": {"type": ["string", "integer"], "pattern": "^[1-9][0-9]{0,4}$", "minimum": 1}
            },
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        terminationGracePeriodSeconds=_COUNT,
        resources=_object(requests=quantities, limits=quantities),
        replicas=_COUNT,
        autoscaling=_object(enabled=_FLAG, minReplicas=_COUNT, maxReplicas=_COUNT, cpuAverage=_QUANTITY),
        podDisruptionBudget=_object(maxUnavailable={"type": ["integer", "string"]}),
        networkPolicy=_object(
            enabled=_FLAG, clientNamespaceLabels=_LABELS, monitoringNamespace=_NAME, iggyPort=_PORT
        ),
        ingress=_object(enabled=_FLAG, className=_NAME, host=_NAME, tlsSecret=_NAME),
        monitoring=_object(enabled=_FLAG, interval=_TIME, labels=_LABELS),
        nodeSelector=_LABELS,
        tolerations={"type": "array", "items": {"type": "object"}},
    )
    schema["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart bridge",
        **schema,
    }


#: The text of each made file, by its path.
MADE: Final[dict[Path, str]] = {
    KUBERNETES / "monitoring" / "prometheusrule.yaml": _PROMETHEUS_RULE
    + indent(_RULES, "  ", lambda line: bool(line.strip())),
    CHART / "files" / "bridge.rules.yaml": _RULES,
    CHART / "values.schema.json": json.dumps(values_schema(), indent=2) + "\n",
}
