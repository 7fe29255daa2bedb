"""Making SDK clients, and waiting for the SDK without being held by it (shell)."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from importlib import metadata
from typing import Generic, NamedTuple, TypeVar

from apache_iggy import AutoLogin, IggyClient, TcpConfig, TcpReconnectionConfig

from bridge.iggy.address import IggyAddress
from bridge.iggy.faults import Operation, Verdict, explain

__all__ = ("Dialled", "Refusal", "SdkCalls", "dial", "new_client", "refusal")

_T = TypeVar("_T")
_C = TypeVar("_C")
_SDK_VERSION = metadata.version("apache-iggy")


class Dialled(NamedTuple, Generic[_C]):
    """A client that is logged in; *server_version* is None where our user may not ask for it."""

    client: _C
    server_version: str | None


class Refusal(NamedTuple):
    """
    Why there is no client.

    Attributes:
        detail: one sentence for operators, without address or secret.
        text: what the SDK said, for the log only.
    """

    detail: str
    text: str


class SdkCalls:
    """The SDK's futures that somebody gave up on: cancelling them would only hide that they still run."""

    __slots__ = ("_abandoned",)

    def __init__(self) -> None:
        self._abandoned: set[asyncio.Future[object]] = set()

    def __len__(self) -> int:
        return len(self._abandoned)

    async def answer(self, call: Awaitable[_T]) -> _T:
        """
        The result of a call that the SDK has begun. Cancelling this wait leaves the call running, and remembered.

        Raises:
            RuntimeError, ValueError: whatever the SDK raises; `Client shutdown` where `close` ended it.
        """
        future: asyncio.Future[_T] = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.cancelled():
                raise RuntimeError("Client shutdown") from None
            self._abandoned.add(future)  # type: ignore[arg-type]
            future.add_done_callback(self._ended)
            raise

    def _ended(self, future: "asyncio.Future[_T]") -> None:
        self._abandoned.discard(future)
        if not future.cancelled():
            # Nobody waits for it any more; an error that is not looked at would be logged as one forgotten.
            future.exception()

    def close(self) -> None:
        """Stop listening to all of them."""
        for future in tuple(self._abandoned):
            future.cancel()
        self._abandoned.clear()


def new_client(address: IggyAddress) -> IggyClient:
    """A client that has not dialled; the settings and their reasons are in iggy.md, section 12."""
    if address.token is not None:
        login = AutoLogin.personal_access_token(address.token)
    else:
        login = AutoLogin.username_password(address.username, address.password)
    return IggyClient(
        TcpConfig(
            server_address=address.server_address,
            auto_login=login,
            # The state machine owns reconnection; the SDK's own would hide an outage behind a call.
            reconnection=TcpReconnectionConfig(
                enabled=True,
                max_retries=0,
                interval=timedelta(milliseconds=100),
                reestablish_after=timedelta(0),
            ),
            heartbeat_interval=timedelta(seconds=1),
            tls_enabled=address.tls,
            tls_domain=address.tls_domain,
            tls_ca_file=address.tls_ca_file,
            tls_validate_certificate=address.tls_validate_certificate,
            # Without it a send of 16-64 KB waits 44 ms for a delayed acknowledgement.
            nodelay=address.nodelay,
        )
    )


async def dial(address: IggyAddress, calls: SdkCalls, *, timeout_s: float) -> Dialled[IggyClient] | Refusal:
    """A client that is connected, logged in, and talks to a server of our minor; or why there is none."""
    try:
        async with asyncio.timeout(timeout_s):
            client = new_client(address)
            await calls.answer(client.connect())
            version = await _server_version(client, calls)
    except TimeoutError:
        return Refusal("The Iggy server does not answer.", "timeout")
    except (RuntimeError, ValueError) as error:
        return refusal(str(error))
    if version is not None and _minor(version) != _minor(_SDK_VERSION):
        return _other_protocol(version, f"server {version}")
    return Dialled(client, version)


async def _server_version(client: IggyClient, calls: SdkCalls) -> str | None:
    try:
        return (await calls.answer(client.get_stats())).iggy_server_version
    except RuntimeError as error:
        if explain(str(error), Operation.STREAM, write=False).verdict is Verdict.FORBIDDEN:
            return None
        raise


def refusal(text: str) -> Refusal:
    """What the SDK's *text* means when it came instead of a connection."""
    match explain(text, Operation.STREAM, write=False).verdict:
        case Verdict.CREDENTIALS:
            return Refusal("The Iggy server does not accept the user and password, or the token.", text)
        case Verdict.OTHER_PROTOCOL:
            return _other_protocol("unknown", text)
        case Verdict.BROKEN:
            # An older server reads our login as nonsense and hangs up.
            return _other_protocol("unknown; it closed the connection during the login", text)
        case Verdict.UNREACHABLE | Verdict.DOWN:
            return Refusal("The Iggy server cannot be reached.", text)
        case _:
            return Refusal("The Iggy server refused the connection.", text)


def _other_protocol(server: str, text: str) -> Refusal:
    return Refusal(f"server speaks another protocol (server {server}, SDK {_SDK_VERSION})", text)


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
