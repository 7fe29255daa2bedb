"""A real Iggy server that speaks TLS: believed by its authority and its name, or not reached."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.certificates import Authority
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer, running_server

pytestmark = pytest.mark.iggy

AUTHORITY: Final = Authority()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("iggy-tls")
    AUTHORITY.issue("iggy", dns=("iggy.internal",)).write(home)
    AUTHORITY.write(home)
    Authority("a stranger").write(home, "stranger.crt")
    return home


@pytest.fixture(scope="module")
def iggy(directory: Path) -> Iterator[IggyServer]:
    settings = {
        "IGGY_TCP_TLS_ENABLED": "true",
        "IGGY_TCP_TLS_SELF_SIGNED": "false",
        "IGGY_TCP_TLS_CERT_FILE": str(directory / "tls.crt"),
        "IGGY_TCP_TLS_KEY_FILE": str(directory / "tls.key"),
    }
    with running_server(restartable=True, extra_env=settings) as server:
        yield server


def bridge_of(tmp_path: Path, iggy: IggyServer, ca: Path, **options: str) -> BridgeProcess:
    words = {"tls": "true", "tls_ca_file": str(ca), **options}
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in words.items())
    return BridgeProcess(tmp_path, {"IGGY_CONNECTION_STRING": f"{iggy.connection_string}?{query}"})


@pytest.mark.parametrize("options", [{}, {"tls_domain": "iggy.internal"}], ids=["by address", "by name"])
def test_messages_go_to_iggy_over_tls_and_come_back(
    tmp_path: Path, directory: Path, iggy: IggyServer, options: dict[str, str]
) -> None:
    with (
        bridge_of(tmp_path, iggy, directory / "ca.crt", **options) as bridge,
        connected(bridge.started()) as it,
    ):
        body = json.dumps({"event": generic_event(1, source="over-tls")})
        it.request("POST", "/messages", body, {"Content-Type": "application/json"})
        answer = it.getresponse()
        assert (answer.status, b"offset" in answer.read()) == (201, True)


@pytest.mark.parametrize(
    "ca, options",
    [("stranger.crt", {}), ("ca.crt", {"tls_domain": "elsewhere.internal"})],
    ids=["another authority", "another name"],
)
def test_a_server_that_is_not_believed_is_not_ready_and_the_bridge_says_so(
    tmp_path: Path, directory: Path, iggy: IggyServer, ca: str, options: dict[str, str]
) -> None:
    with bridge_of(tmp_path, iggy, directory / ca, **options) as bridge:
        port = int(bridge.until("listening")["port"])
        assert get(port, "/ready")[0] == 503
        assert get(port, "/health")[0] == 200


def test_without_tls_it_is_not_reached(tmp_path: Path, iggy: IggyServer) -> None:
    with BridgeProcess(tmp_path, {"IGGY_CONNECTION_STRING": iggy.connection_string}) as bridge:
        port = int(bridge.until("listening")["port"])
        assert get(port, "/ready")[0] == 503
