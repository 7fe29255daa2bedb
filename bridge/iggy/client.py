"""Making SDK clients, and waiting for the SDK without being held by it (shell)."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from functools import partial
from importlib import metadata
from typing import NamedTuple, TypeVar

import structlog
from apache_iggy import AutoLogin, IggyClient, TcpConfig, TcpReconnectionConfig

from bridge import limits
from bridge.iggy.address import IggyAddress
from bridge.iggy.encoding import CLUSTER_METADATA, WireError, parse_roster
from bridge.iggy.faults import Operation, Verdict, explain
from bridge.iggy.pool import Slot

_T = TypeVar("_T")
_log = structlog.get_logger("bridge.iggy")
_SDK_VERSION = metadata.version("apache-iggy")


class Dialled(NamedTuple):
    """A client that is logged in; *server_version* is None where our user may not ask for it."""

    client: IggyClient
    server_version: str | None


class Refusal(NamedTuple):
    """Why there is no client.

    Attributes:
        detail: one sentence for operators, without address or secret.
        text: what the SDK said, for the log only.
        silent: it said nothing in its time.
    """

    detail: str
    text: str
    silent: bool = False


class SdkCalls:
    """Waiting for calls that the SDK has begun.

    Such a call cannot be taken back: cancelling its future would only hide that it still runs. So each caller waits for
    an answer of its own, which is completed once, by whoever is first: the SDK, or the end of the client (`Slot.drop_client`).
    What the SDK says later is heard by nobody, and the call is remembered until then.
    """

    def __init__(self) -> None:
        self._abandoned: set[asyncio.Future[object]] = set()

    def __len__(self) -> int:
        """Calls that run on for nobody."""
        return len(self._abandoned)

    async def answer(self, call: Awaitable[_T], slot: Slot | None = None) -> _T:
        """The result of *call*. Cancelling this wait leaves the call running, and remembered.

        Args:
            slot: whose client carries the call; letting go of the client ends this wait.

        Raises:
            RuntimeError, ValueError: whatever the SDK raises; `Client shutdown` where `close` ended it, `Disconnected`
                where the client was let go of.
        """
        future: asyncio.Future[_T] = asyncio.ensure_future(call)
        answer: asyncio.Future[_T] = future.get_loop().create_future()
        future.add_done_callback(partial(_pass_on, answer))
        if slot is not None:
            slot.answer = answer
        try:
            return await answer
        finally:
            if slot is not None:
                slot.answer = None
            if not future.done():
                self._abandoned.add(future)  # type: ignore[arg-type]
                future.add_done_callback(self._abandoned.discard)

    def close(self) -> None:
        """Stop listening to all of them."""
        for future in tuple(self._abandoned):
            future.cancel()
        self._abandoned.clear()


def _pass_on(answer: "asyncio.Future[_T]", future: "asyncio.Future[_T]") -> None:
    # An error that is not looked at would be logged as one forgotten.
    error = RuntimeError("Client shutdown") if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, RuntimeError | ValueError | OverflowError):
        # A panic of the SDK, which is no error of any kind that it names: its client is not to be used again.
        _log.error("iggy_sdk_panicked", fault=type(error).__name__)
        error = RuntimeError("Disconnected")
    if answer.done():
        return
    if error is None:
        answer.set_result(future.result())
    else:
        answer.set_exception(error)


def new_client(address: IggyAddress, server_address: str) -> IggyClient:
    """A client for the node at *server_address* that has not dialled; iggy.md has the reasons for the settings."""
    if address.token is not None:
        login = AutoLogin.personal_access_token(address.token)
    else:
        login = AutoLogin.username_password(address.username, address.password)
    return IggyClient(
        TcpConfig(
            server_address=server_address,
            auto_login=login,
            # The state machine owns reconnection: the SDK's own hides an outage behind a call, and the election of a
            # cluster for longer than the call may take (5 to 7 s measured).
            reconnection=TcpReconnectionConfig(enabled=False),
            heartbeat_interval=timedelta(seconds=limits.IGGY_HEARTBEAT_S),
            tls_enabled=address.tls,
            tls_domain=address.tls_domain,
            tls_ca_file=address.tls_ca_file,
            tls_validate_certificate=address.tls_validate_certificate,
            # Without it a send of 16-64 KB waits 44 ms for a delayed acknowledgement.
            nodelay=address.nodelay,
        )
    )


async def dial(
    address: IggyAddress,
    server_address: str,
    calls: SdkCalls,
    *,
    slot: Slot | None = None,
    timeout_s: float,
    spoke_before: bool,
) -> Dialled | Refusal:
    """A client that is connected, logged in, and talks to a server of our minor; or why there is none.

    Args:
        slot: which it is for; letting go of it ends the wait.
    """
    try:
        async with asyncio.timeout(timeout_s):
            client = new_client(address, server_address)
            await calls.answer(client.connect(), slot)
            version = await _server_version(client, calls)
    except TimeoutError:
        return Refusal("The Iggy server does not answer.", "timeout", silent=True)
    except (RuntimeError, ValueError) as error:
        return refusal(str(error), spoke_before=spoke_before)
    if version is not None and _minor(version) != _minor(_SDK_VERSION):
        return _other_protocol(version, f"server {version}")
    return Dialled(client, version)


async def roster_of(client: IggyClient, calls: SdkCalls, *, timeout_s: float) -> tuple[str, ...]:
    """Where the nodes of *client*'s cluster take clients; empty if the server does not say."""
    try:
        async with asyncio.timeout(timeout_s):
            return parse_roster(await calls.answer(client.send_binary_request(CLUSTER_METADATA, b"")))
    except (TimeoutError, RuntimeError, WireError):
        # Whoever knows no other node goes on with this one.
        return ()


async def _server_version(client: IggyClient, calls: SdkCalls) -> str | None:
    try:
        return (await calls.answer(client.get_stats())).iggy_server_version
    except RuntimeError as error:
        if explain(str(error), Operation.STREAM, write=False).verdict is Verdict.FORBIDDEN:
            return None
        raise


def refusal(text: str, *, spoke_before: bool = False) -> Refusal:
    """What the SDK's *text* means when it came instead of a connection.

    Args:
        spoke_before: a server of our protocol was there before; one that hangs up now is going down, or not yet up.
    """
    match explain(text, Operation.STREAM, write=False).verdict:
        case Verdict.CREDENTIALS:
            return Refusal("The Iggy server does not accept the user and password, or the token.", text)
        case Verdict.OTHER_PROTOCOL:
            return _other_protocol("unknown", text)
        case Verdict.BROKEN if not spoke_before:
            # An older server reads our login as nonsense and hangs up.
            return _other_protocol("unknown; it closed the connection during the login", text)
        case Verdict.UNREACHABLE | Verdict.DOWN | Verdict.BROKEN:
            return Refusal("The Iggy server cannot be reached.", text)
        case _:
            return Refusal("The Iggy server refused the connection.", text)


def _other_protocol(server: str, text: str) -> Refusal:
    return Refusal(f"server speaks another protocol (server {server}, SDK {_SDK_VERSION})", text)


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
