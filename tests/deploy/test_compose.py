"""Claims about `deploy/compose.yaml` (shell)."""

import re
from typing import Any, Final

from tests.deploy.manifests import ROOT, compose, setting_names, settings

#: What the released server reads: names of its process, its one key outside of any table, and the tables of its
#: configuration (`ServerConfig` in its `core/configs`). It does not start where another name begins with IGGY_.
IGGY_NAMES: Final = {"IGGY_ROOT_USERNAME", "IGGY_ROOT_PASSWORD", "IGGY_PATH"}
IGGY_TABLES: Final = (
    "CLUSTER", "CONSUMER_GROUP", "DATA_MAINTENANCE", "ENCRYPTION", "HEARTBEAT", "HTTP", "LOGGING", "MEMORY_POOL", "MESSAGE_BUS", "METADATA",
    "NODE", "PARTITION", "PERSONAL_ACCESS_TOKEN", "QUIC", "RUNTIME", "SHARDING", "TCP", "TELEMETRY", "WEBSOCKET",
)  # fmt: skip


def service(name: str) -> dict[str, Any]:
    result: dict[str, Any] = compose()["services"][name]
    return result


def test_every_variable_of_the_bridge_is_a_real_setting() -> None:
    assert set(service("bridge")["environment"]) <= setting_names()


def test_every_variable_of_iggy_is_one_that_the_released_server_reads() -> None:
    iggy = service("iggy")
    given = {*iggy["environment"], *re.findall(r"\bIGGY_[A-Z_]+", " ".join(iggy["entrypoint"]))}
    tables = tuple(f"IGGY_{table}_" for table in IGGY_TABLES)
    assert [name for name in given if name not in IGGY_NAMES and not name.startswith(tables)] == []


def test_iggy_keeps_its_data_where_the_volume_is() -> None:
    iggy = service("iggy")
    assert [volume.split(":")[1] for volume in iggy["volumes"]] == [iggy["environment"]["IGGY_PATH"]]


def test_no_secret_stands_in_the_file() -> None:
    secrets = {spec.env for spec, _ in settings() if spec.secret}
    assert not secrets & set(service("bridge")["environment"])
    for name, secret in compose()["secrets"].items():
        assert set(secret) == {"file"}, name


def test_every_secret_file_is_one_the_service_is_given() -> None:
    bridge = service("bridge")
    files = {value for name, value in bridge["environment"].items() if name.endswith("_FILE")}
    assert files == {f"/run/secrets/{name}" for name in bridge["secrets"]}
    assert {name for s in compose()["services"].values() for name in s["secrets"]} == set(
        compose()["secrets"]
    )


def test_the_secrets_can_not_be_committed() -> None:
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().split()


def test_only_the_bridge_is_published_and_only_on_loopback() -> None:
    assert "ports" not in service("iggy")
    assert all(port.startswith("127.0.0.1:") for port in service("bridge")["ports"])
    assert compose()["networks"]["log"]["internal"] is True


def test_the_bridge_runs_without_any_privilege() -> None:
    bridge = service("bridge")
    assert bridge["read_only"] is True
    assert bridge["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in bridge["security_opt"]
    assert not {"cap_add", "privileged"} & set(bridge)


def test_the_bridge_waits_until_iggy_is_healthy() -> None:
    assert service("bridge")["depends_on"]["iggy"]["condition"] == "service_healthy"
    assert service("iggy")["healthcheck"]["test"][0] == "CMD"


def test_iggy_is_of_the_minor_that_the_sdk_is_locked_to() -> None:
    locked = re.search(r"^apache-iggy==(\d+\.\d+)\.", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert re.fullmatch(rf"apache/iggy:{re.escape(locked[1])}\.\d+", service("iggy")["image"])


def test_compose_waits_longer_than_the_drain_takes() -> None:
    bridge = service("bridge")
    assert float(bridge["stop_grace_period"].removesuffix("s")) > float(
        bridge["environment"]["SHUTDOWN_GRACE_SECS"]
    )
