"""`bridge context` (shell): bridges by name, so that no command has to say where it goes."""

import os
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.cli.client.contexts import BridgeContext, read_contexts, write_contexts
from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.target import checked_url, read_key
from bridge.cli.remote.calling import OutputOption, add_group, local
from bridge.cli.remote.completing import contexts_like
from bridge.cli.remote.names import did_you_mean
from bridge.cli.remote.rendering import Column, Output, OutputFormat

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The context.", autocompletion=contexts_like)]
# As file names and shells take it everywhere.
_CONTEXT_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTEXTS: Final = (
    Column("current", "CURRENT"),
    Column("name", "NAME"),
    Column("url", "URL"),
    Column("key_file", "KEY FILE"),
)


def add_contexts(app: typer.Typer) -> None:
    text = "Bridges by name. The file holds addresses and where key files are, never a key."
    add_group(app, "context", text, local, add=_add, use=_use, ls=_list, rm=_remove)


def _add(
    name: _Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the bridge.")],
    *,
    key_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File that holds its API key.")
    ] = None,
) -> None:
    """Name a bridge, or change what a name stands for; the first one is current at once."""
    if not _CONTEXT_NAME.fullmatch(name):
        raise CommandFailed(
            "The name of a context is 1 to 64 letters, digits, dots, dashes and underscores.", ExitCode.USAGE
        )
    context = BridgeContext(
        checked_url(url), None if key_file is None else str(key_file.expanduser().absolute())
    )
    if context.key_file is not None:
        read_key(context.key_file)
    contexts = read_contexts(os.environ)
    contexts.contexts[name] = context
    contexts.current = contexts.current or name
    write_contexts(contexts, os.environ)


def _use(name: _Name) -> None:
    """Make a context the current one."""
    contexts = read_contexts(os.environ)
    _check_known(name, list(contexts.contexts))
    contexts.current = name
    write_contexts(contexts, os.environ)


def _list(*, output: OutputOption = OutputFormat.TABLE) -> None:
    """List the contexts."""
    contexts = read_contexts(os.environ)
    Output(output).rows(
        _CONTEXTS,
        [
            {"current": name == contexts.current, "name": name, "url": each.url, "key_file": each.key_file}
            for name, each in sorted(contexts.contexts.items())
        ],
    )


def _remove(name: _Name) -> None:
    """Forget a context; its key file stays."""
    contexts = read_contexts(os.environ)
    _check_known(name, list(contexts.contexts))
    del contexts.contexts[name]
    if contexts.current == name:
        contexts.current = None
    write_contexts(contexts, os.environ)


def _check_known(name: str, known: list[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or "`bridge context ls` lists all contexts."
        raise CommandFailed("There is no such context.", ExitCode.NOT_FOUND, hint=hint)
