from pathlib import Path

from tests.outage.watched import eventually
from tests.support.bridge_process import BridgeProcess
from tests.support.iggy_server import IggyServer


def _is_two_of_the_sdk(tasks: Path) -> bool:
    return [each.read_text() for each in tasks.glob("*/comm")].count("tokio-rt-worker\n") == 2


def test_the_sdk_works_with_one_thread_in_a_bridge(server: IggyServer, tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"IGGY_CONNECTION_STRING": server.connection_string}) as bridge:
        bridge.started()
        tasks = Path(f"/proc/{bridge.process.pid}/task")
        # The other keeps the runtime; those that were begun to dial end by themselves, 10 s later.
        eventually(
            lambda: _is_two_of_the_sdk(tasks), what="one thread of the SDK, and one that keeps its runtime"
        )
