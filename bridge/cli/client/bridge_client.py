"""The client of a bridge (shell): one session, one place for the key, for what errors mean and for what is sent again."""

import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

import bridge
from bridge.cli.client.failures import CommandFailed, ExitCode, wait_before_again
from bridge.cli.client.messages import LINE_BYTES_MAX, SeenMessage, seen_message
from bridge.cli.client.requests import JSON_HEADERS, NDJSON, Request, as_curl
from bridge.cli.client.target import KEY_VARIABLE, Target
from bridge.cli.client.tls import CA_VARIABLE

_CONNECT_S: Final = 5.0
#: Beyond what any request of the bridge may take, long polls too; what streams has no such end.
_WHOLE_S: Final = 330.0
_ATTEMPTS: Final = 6
_WAIT_MAX_S: Final = 3.0
_TOO_MANY: Final = "429"
_GAP: Final = b'{"gap"'
_WORTH_TELLING_S: Final = 1.0
_CODES: Final[dict[int, ExitCode]] = {
    HTTPStatus.UNAUTHORIZED: ExitCode.AUTH,
    HTTPStatus.FORBIDDEN: ExitCode.AUTH,
    HTTPStatus.NOT_FOUND: ExitCode.NOT_FOUND,
    HTTPStatus.SERVICE_UNAVAILABLE: ExitCode.NOT_REACHABLE,
}


def _tell(details: RetryDetails) -> None:
    """What is tried again, on stderr; but for the rate limit, which is no fault, and what does not take long."""
    error = details.caused_by
    if (
        isinstance(error, CommandFailed)
        and error.status != _TOO_MANY
        and details.wait_for >= _WORTH_TELLING_S
    ):
        sys.stderr.write(f"bridge: {error.message} Trying again in {details.wait_for:.0f} s.\n")


# In place of the library's own, which tell it on stdout, among the results.
set_on_retry_hooks((_tell,))


class CurlPrinted(Exception):
    """The request was to be shown, and was; nothing was asked."""


class BridgeClient:
    """Asks one bridge.

    Args:
        show_curl: given each request as a curl command, in place of sending it.
    """

    def __init__(self, target: Target, *, show_curl: Callable[[str], None] | None = None) -> None:
        self.target = target
        self._show_curl = show_curl
        # Nobody waits for a bridge that never was there.
        self._met = False
        headers = {"User-Agent": f"bridge-cli/{bridge.__version__}"}
        if target.key is not None:
            headers["X-API-Key"] = target.key
        context = target.tls.context()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if context is None else context),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=_WHOLE_S, sock_connect=_CONNECT_S),
            read_bufsize=256 * 1024,
        )

    @property
    def only_shows(self) -> bool:
        return self._show_curl is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, request: Request) -> Any:
        """The JSON of the answer, None of an empty one; a request that may be sent again is, while that can help.

        Raises:
            CommandFailed: if there is no answer of success.
        """
        raw = await self.ask_raw(request)
        return orjson.loads(raw) if raw else None

    async def get(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> Any:
        """As `ask`, of a GET."""
        return await self.ask(Request("GET", path, query, again=True))

    async def send(self, method: str, path: str, body: Any, *, again: bool = False) -> Any:
        """As `ask`, with *body* as JSON."""
        return await self.ask(Request(method, path, (), orjson.dumps(body), JSON_HEADERS, again=again))

    async def ask_raw(self, request: Request) -> bytes:
        """The bytes of the answer; see `ask`.

        Raises:
            CommandFailed: as `ask`.
        """
        attempts = stamina.retry_context(
            on=lambda error: self._met and _may_go_again(error, request) and wait_before_again(error),
            attempts=_ATTEMPTS,
            wait_max=_WAIT_MAX_S,
            timeout=None,
        )
        async for attempt in attempts:
            with attempt:
                async with self._answer(request) as response:
                    return await response.read()
        raise AssertionError

    async def ask_once(self, request: Request) -> Any:
        """As `ask`, but never again.

        Raises:
            CommandFailed: as `ask`.
        """
        async with self._answer(request) as response:
            raw = await response.read()
            return orjson.loads(raw) if raw else None

    @asynccontextmanager
    async def messages(
        self, path: str, query: tuple[tuple[str, str], ...]
    ) -> AsyncGenerator[AsyncIterator[tuple[SeenMessage, bytes]]]:
        """The messages of the topic at *path*, each with its line; what is told of gaps is left out.

        Raises:
            CommandFailed: as `lines`.
        """
        request = Request("GET", f"{path}/messages", query, None, {"Accept": NDJSON}, again=True)
        async with self.lines(request) as lines:
            yield ((seen_message(line), line) async for line in lines if not line.startswith(_GAP))

    @asynccontextmanager
    async def lines(self, request: Request) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The lines of an answer that streams, without their line feeds.

        Raises:
            CommandFailed: if there is no answer of success, or it breaks off.
        """
        async with self._answer(request, streams=True) as response:
            yield _lines(response.content)

    @asynccontextmanager
    async def _answer(
        self, request: Request, *, streams: bool = False
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        if self._show_curl is not None:
            self._show_curl(as_curl(request, self.target))
            raise CurlPrinted
        timeout = aiohttp.ClientTimeout(total=None if streams else _WHOLE_S, sock_connect=_CONNECT_S)
        try:
            async with self._session.request(
                request.method,
                self.target.url + request.target,
                # aiohttp sends what it can read in pieces.
                data=None if request.body is None else BytesIO(request.body),
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                self._met = True
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise self._refused(response.status, await response.read(), request.path)
                yield response
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise CommandFailed(
                f"There is no TLS with {self.target.url}: {_tls_fault(error)}.",
                ExitCode.NOT_REACHABLE,
                hint=f"Give its authority with --ca-file or {CA_VARIABLE}; is it https at all?",
            ) from None
        except aiohttp.ClientConnectorError:
            raise CommandFailed(
                f"No bridge answers at {self.target.url}.",
                ExitCode.NOT_REACHABLE,
                hint="Give --url, set BRIDGE_URL, or start one with `bridge serve`.",
                retryable=True,
            ) from None
        except aiohttp.InvalidURL:
            raise CommandFailed("The address of the bridge is none.", ExitCode.USAGE) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise CommandFailed(
                f"The connection to {self.target.url} broke: {type(error).__name__}.",
                ExitCode.NOT_REACHABLE,
                retryable=True,
                sure=False,
            ) from None

    def _refused(self, status: int, body: bytes, path: str) -> CommandFailed:
        try:
            problem = orjson.loads(body)
            detail, code = str(problem["detail"]), str(problem["error"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            problem, detail, code = {}, f"The answer is {status}, and not of a bridge.", ""
        named = f" [{status} {code}, request {problem.get('request_id', '?')}]" if code else ""
        hint = ""
        if status == HTTPStatus.UNAUTHORIZED:
            hint = (
                f"Set {KEY_VARIABLE} or give --key-file." if self.target.key is None else "The key is wrong."
            )
        return CommandFailed(
            f"{detail}{named}",
            _CODES.get(status, ExitCode.FAILED),
            hint=hint,
            retryable=bool(problem.get("retryable", False)),
            retry_after_s=problem.get("retry_after_ms", 0) / 1000,
            sure=problem.get("outcome") != "unknown",
            path=path,
            status=str(status),
            fault_at=str(problem.get("path", "")),
        )


def _tls_fault(error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError) -> str:
    cause = (
        error.certificate_error
        if isinstance(error, aiohttp.ClientConnectorCertificateError)
        else error.os_error
    )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return (reason or type(cause).__name__).replace("_", " ").lower()


def _may_go_again(error: Exception, request: Request) -> bool:
    return isinstance(error, CommandFailed) and (request.again or error.sure)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to `LINE_BYTES_MAX`; `StreamReader.readline` has a bound of its buffer's size."""
    # In pieces: to join a line of many MiB anew at each chunk takes seconds.
    begun: list[bytes] = []
    begun_bytes = 0
    while chunk := await content.readany():
        first, feed, rest = chunk.partition(b"\n")
        begun.append(first)
        begun_bytes += len(first)
        if begun_bytes > LINE_BYTES_MAX:
            raise CommandFailed("A line of the answer is longer than any message may be.")
        if not feed:
            continue
        yield b"".join(begun).removesuffix(b"\r")
        *lines, last = rest.split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        begun, begun_bytes = [last], len(last)
    if line := b"".join(begun):
        yield line
