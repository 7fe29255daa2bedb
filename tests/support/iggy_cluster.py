"""Three Iggy servers that are one cluster, on loopback; from the binary alone."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.iggy_server import HOW, BinaryServer, NoServer
from tests.support.ports import held_port

__all__ = ("Cluster", "running_cluster")

NODES = 3
_TOGETHER = "replica mesh complete"
_PORTS = ("TCP", "QUIC", "HTTP", "WEBSOCKET", "TCP_REPLICA")


class Cluster:
    """
    Attributes:
        nodes: by replica id.
    """

    def __init__(self, nodes: list[BinaryServer]) -> None:
        self.nodes = nodes

    @property
    def addresses(self) -> list[str]:
        """host:port of each node's TCP endpoint, which is there before the node is."""
        return [node.address for node in self.nodes]

    @property
    def connection_string(self) -> str:
        """Names the first node alone; the others are in its roster."""
        return f"iggy://iggy:iggy@{self.addresses[0]}"


def _binary() -> str:
    if os.environ.get("IGGY_CLUSTER") != "1":
        pytest.skip(
            "three servers 0.9.0-edge.5 do not always find together again when one is lost; IGGY_CLUSTER=1 runs this"
        )
    binary = os.environ.get("IGGY_SERVER_BIN") or shutil.which("iggy-server")
    if binary is None:
        if os.environ.get("REQUIRE_IGGY") == "1":
            pytest.fail(HOW, pytrace=False)
        pytest.skip(f"a cluster needs the iggy-server binary: {HOW}")
    return binary


@contextlib.contextmanager
def running_cluster(extra_env: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster for the length of a block, where one is asked for by `IGGY_CLUSTER=1`; else the test is skipped."""
    binary = _binary()
    holding = contextlib.ExitStack()
    environ = {
        "IGGY_CLUSTER_ENABLED": "true",
        "IGGY_CLUSTER_NAME": "tests",
        # A node that was not there yet is dialled again so soon, by its peers.
        "IGGY_MESSAGE_BUS_RECONNECT_PERIOD": "500 ms",
        # Says when all know each other: one that dies before leaves two behind that never elect.
        "RUST_LOG": "warn,message_bus=info",
        **(extra_env or {}),
    }
    of_tcp: list[int] = []
    for replica in range(NODES):
        prefix = f"IGGY_CLUSTER_NODES_{replica}"
        environ |= {
            f"{prefix}_NAME": f"node-{replica}",
            f"{prefix}_IP": "127.0.0.1",
            f"{prefix}_REPLICA_ID": str(replica),
        }
        for name in _PORTS:
            environ[f"{prefix}_PORTS_{name}"] = str(port := holding.enter_context(held_port()))
            if name == "TCP":
                of_tcp.append(port)
    nodes = [
        BinaryServer(binary, extra_env=environ, port=port, arguments=("--replica-id", str(replica)))
        for replica, port in enumerate(of_tcp)
    ]
    cluster = Cluster(nodes)
    try:
        try:
            for node in nodes:
                node.launch()
            for node in nodes:
                node.wait_until_it_accepts()
                node.wait_until_it_says(_TOGETHER)
        except NoServer as error:
            pytest.fail(f"the cluster did not start: {error}", pytrace=False)
        yield cluster
    finally:
        for node in nodes:
            node.close()
        holding.close()
