"""What every command that talks to a bridge has in common (shell): its options, its client, and its end."""

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import path_of
from bridge.cli.remote.names import did_you_mean
from bridge.cli.remote.rendering import Output, OutputFormat

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient


_PANEL: Final = "Bridge and output"


def _option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=_PANEL)


UrlOption = Annotated[
    str | None,
    _option(
        "--url",
        "URL",
        "Address of the bridge. [dim]BRIDGE_URL, else the current context, else this machine[/]",
    ),
]
KeyFileOption = Annotated[
    str | None,
    _option("--key-file", "PATH", "File that holds the API key. [dim]else the key in BRIDGE_API_KEY[/]"),
]
CaFileOption = Annotated[
    str | None,
    _option(
        "--ca-file",
        "PATH",
        "Authorities (PEM) that an https bridge must have its certificate from. [dim]BRIDGE_CA_FILE, else the system's[/]",
    ),
]
CertOption = Annotated[
    str | None, _option("--cert", "PATH", "Client certificate (PEM) to show. [dim]else BRIDGE_CERT_FILE[/]")
]
CertKeyOption = Annotated[
    str | None,
    _option(
        "--cert-key", "PATH", "Its key, where that is not in the same file. [dim]else BRIDGE_CERT_KEY_FILE[/]"
    ),
]
OutputOption = Annotated[
    OutputFormat, typer.Option("-o", "--output", help="How results are shown.", rich_help_panel=_PANEL)
]
_OPTIONS: Final = {
    "url": UrlOption,
    "key_file": KeyFileOption,
    "ca_file": CaFileOption,
    "cert": CertOption,
    "cert_key": CertKeyOption,
    "output": OutputOption,
    "curl": Annotated[
        bool,
        typer.Option(
            "--curl",
            help="Print the first request as a curl command, and do nothing.",
            rich_help_panel=_PANEL,
        ),
    ],
}
_DEFAULTS: Final = dict.fromkeys(_OPTIONS) | {"output": OutputFormat.TABLE, "curl": False}


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Call(NamedTuple):
    client: "BridgeClient"
    out: Output


def remote(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command, as typer takes it, of a coroutine whose first parameter is its `Call`.

    It has the options that all of these have, and ends with the exit code of its failure.
    """

    @functools.wraps(command)
    def run(*, output: OutputFormat, curl: bool, **given: Any) -> None:
        out = Output(output)
        url, key_file, *tls_files = (
            given.pop(each) for each in ("url", "key_file", "ca_file", "cert", "cert_key")
        )

        async def go() -> None:
            # Here: aiohttp takes half a second, and `--help` needs none of it.
            from bridge.cli.client.bridge_client import BridgeClient, CurlPrinted  # noqa: PLC0415
            from bridge.cli.client.target import target_of  # noqa: PLC0415
            from bridge.cli.client.tls import TlsFiles  # noqa: PLC0415

            target = target_of(url, key_file, os.environ, TlsFiles(*tls_files))
            with suppress(CurlPrinted):
                async with BridgeClient(target, show_curl=out.text if curl else None) as client:
                    try:
                        await command(Call(client, out), **given)
                    except CommandFailed as failure:
                        failure.hint = failure.hint or await _names_meant(client, failure)
                        raise

        _ended(out, lambda: asyncio.run(go()))

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[name], annotation=annotation
        )
        for name, annotation in _OPTIONS.items()
    ]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + shared
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def local(command: Callable[..., None]) -> Callable[..., None]:
    """A command that asks no bridge, and ends with the exit code of its failure."""

    @functools.wraps(command)
    def run(*given: Any, **named: Any) -> None:
        _ended(Output(OutputFormat.TABLE), lambda: command(*given, **named))

    return run


def add_group(
    app: typer.Typer,
    name: str,
    text: str,
    kind: Callable[[Callable[..., Any]], Callable[..., None]],
    **commands: Callable[..., Any],
) -> typer.Typer:
    """Add *commands*, each made by *kind* (`remote` or `local`), by their names below *name*."""
    group = typer.Typer(help=text, no_args_is_help=True)
    for each, command in commands.items():
        group.command(each)(kind(command))
    app.add_typer(group, name=name)
    return group


async def confirm(call: Call, question: str, *, yes: bool, path: str = "") -> None:
    """Ask before what cannot be undone, where it is to be done.

    Args:
        yes: it was confirmed on the command line.
        path: of what it is about: only of what is there is asked whether it shall go.

    Raises:
        CommandFailed: if nobody can be asked, or the answer is no.
    """
    if yes or call.client.only_shows:
        return
    if path:
        await call.client.get(path)
    if not sys.stdin.isatty():
        raise CommandFailed("This cannot be undone.", ExitCode.USAGE, hint="Confirm it with --yes.")
    if not typer.confirm(question, err=True):
        raise CommandFailed("Nothing was done.")


async def _names_meant(client: "BridgeClient", failure: CommandFailed) -> str:
    """Where a stream or topic is not there: those with names like it."""
    if failure.code is ExitCode.NOT_FOUND:
        with suppress(CommandFailed):
            return await _meant(client, failure.path)
    return ""


async def _meant(client: "BridgeClient", path: str) -> str:
    """A sentence with the names like those in *path*, or how to see all of them; nothing where they are there.

    Raises:
        CommandFailed: if the bridge does not say which there are.
    """
    match [unquote(part) for part in path.split("/")]:
        case ["", "streams", stream, *rest]:
            pass
        case _:
            return ""
    streams = [each["name"] for each in await client.get("/streams")]
    if stream not in streams:
        return did_you_mean(stream, streams) or "`bridge streams ls` lists all streams."
    match rest:
        case ["topics", topic, *_]:
            found = await client.get(path_of("streams", stream, "topics"))
            topics = [each["name"] for each in found]
            if topic not in topics:
                close = did_you_mean(topic, topics).replace("Did you mean ", f"Did you mean, in {stream}, ")
                return close or f"`bridge topics ls {stream}` lists its topics."
        case _:
            pass
    return ""


def _ended(out: Output, work: Callable[[], None]) -> None:
    try:
        work()
    except CommandFailed as failure:
        out.note(f"bridge: {failure.message}")
        if failure.hint:
            out.note(f"  {failure.hint}")
        raise typer.Exit(failure.code) from None
    except BrokenPipeError:
        # Who read it has enough; nothing more is written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except OSError as error:
        # A full disk or a directory that may not be written, mostly; what was asked of the bridge before is done.
        place = "" if error.filename is None else f" ({error.filename})"
        with suppress(OSError):
            out.note(f"bridge: What was done cannot be written: {os.strerror(error.errno or 0)}{place}.")
        # Else what could not be written is tried once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
