"""Claims about the page of the WebSocket subprotocol: all there is is told, with its bounds."""

import re

import msgspec
import pytest

from bridge import limits
from bridge.web.sockets.framing import CloseCode
from bridge.web.sockets.operations import Ack, Extend, Nack, Permit, Ping, Publish, Subscribe, Unsubscribe
from tests.readme.generated import DOCS

PAGE = (DOCS / "websocket.md").read_text()


@pytest.mark.parametrize(
    "kind", [Ack, Extend, Nack, Permit, Ping, Publish, Subscribe, Unsubscribe], ids=lambda kind: kind.__name__
)
def test_every_operation_is_told_with_each_of_its_fields(kind: type[msgspec.Struct]) -> None:
    op = kind.__struct_config__.tag
    rows = [row for row in PAGE.splitlines() if re.match(rf"\|[^|]*`{op}`", row)]
    assert rows
    for field in msgspec.structs.fields(kind):
        assert any(f"`{field.encode_name}`" in row for row in rows), field.encode_name


def test_every_close_code_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| `(\d+)` \| ", PAGE, re.MULTILINE)}
    assert told == set(CloseCode)


def test_the_bounds_are_those_that_hold() -> None:
    for figure in (
        f"{limits.WS_MESSAGE_BYTES_MAX // 1024} KiB",
        f"{limits.WS_FRAGMENTS_MAX} frames",
        f"{limits.WS_SUBSCRIPTIONS_MAX} subscriptions",
        f"{limits.WS_PERMITS_MAX:,} permits",
        f"{limits.WS_UNACKED_MAX:,} unsettled",
        f"{limits.LIVE_STREAMS_MAX:,} together",
        f"{limits.WS_PUBLISHES_MAX} messages ({limits.WS_PUBLISH_BYTES_MAX // 1024**2} MiB)",
        f"those of all sockets are {limits.WS_PUBLISHES_OF_ALL_MAX:,}",
        f"silent for {limits.WS_PING_INTERVAL_S:.0f} s",
        f"takes nothing for {limits.LIVE_WRITE_TIMEOUT_S:.0f} s",
        f"for {limits.WS_IDLE_TIMEOUT_S / 60:.0f} minutes",
        f"more than {limits.WS_FAULTS_BURST} faults",
    ):
        assert figure in " ".join(PAGE.split()), figure
    assert limits.WS_FAULTS_BURST == limits.WS_PINGS_BURST
