"""Claims about `deploy/prometheus` and `docs/alerts.md` (shell): rules that fire, and a way on for each of them."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.manifests import ROOT
from tests.support.programs import checked, needs

RULES: Final = ROOT / "deploy" / "prometheus" / "bridge.rules.yaml"
RUNBOOK: Final = ROOT / "docs" / "alerts.md"
UNIT_TESTS: Final = Path(__file__).parent / "prometheus"


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@needs("promtool")
def test_promtool_finds_nothing_in_the_rules() -> None:
    assert "SUCCESS" in checked("promtool", "check", "rules", "--lint-fatal", RULES)


@needs("promtool")
@pytest.mark.parametrize("path", sorted(UNIT_TESTS.glob("*.test.yaml")), ids=lambda path: path.name)
def test_alerts_fire_over_what_they_are_about(path: Path) -> None:
    assert "SUCCESS" in checked("promtool", "test", "rules", path.name, cwd=UNIT_TESTS)


def test_every_alert_fires_in_a_unit_test() -> None:
    assert set(re.findall(r'alertname="(\w+)"', (UNIT_TESTS / "each_alert.test.yaml").read_text())) == set(
        alerts()
    )


def test_every_alert_has_a_severity_and_says_what_is_wrong_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name


def test_the_runbook_has_one_entry_for_each_alert_and_the_alert_leads_to_it() -> None:
    entries = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert entries == list(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{name.lower()}"


@pytest.mark.parametrize("name", list(alerts()))
def test_an_entry_of_the_runbook_says_what_to_do(name: str) -> None:
    entry = RUNBOOK.read_text().split(f"### {name}\n", 1)[1].split("\n#", 1)[0]
    assert "**Means:**" in entry
    assert "**Do:**" in entry or "**Look and do:**" in entry
