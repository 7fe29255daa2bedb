"""The part of docs/cli.md that is made from the code (shell). `python -m tests.generated` writes it anew."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from bridge.cli.tree import command_tree

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
_BEGIN: Final = "<!-- commands -->\n"
_END: Final = "<!-- /commands -->"
#: Told once, or by the page about the configuration.
_SHARED: Final = frozenset({"url", "key_file", "ca_file", "cert", "cert_key", "output", "curl", "help"})
_ELSEWHERE: Final = frozenset({"serve", "config", "health", "openapi", "completion", "backup", "restore"})


def _plain(text: str | None) -> str:
    return re.sub(r"\[/?(?:dim)?\]", "", text or "").replace("|", "\\|")


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, each in command.commands.items():
        if f"{name} {word}" not in {f"bridge {other}" for other in _ELSEWHERE}:
            yield from _leaves(each, f"{name} {word}")


def _default(parameter: Any) -> str:
    default = parameter.default
    shows = default not in (None, False) and not callable(default) and parameter.param_type_name == "option"
    return f" (default: {default})" if shows else ""


def commands() -> str:
    """Every command that talks to a bridge: its usage, what it does, its options."""
    tree = typer.main.get_command(command_tree(asyncio.new_event_loop))
    lines: list[str] = []
    for name, command in _leaves(tree, "bridge"):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [
            each for each in command.params if each.param_type_name == "option" and each.name not in _SHARED
        ]
        usage = " ".join([name, *(each.metavar or each.name.upper() for each in arguments)])
        lines += [f"### `{usage}`", _plain(command.help), ""]
        if options or arguments:
            lines += ["| | |", "| --- | --- |"]
            lines += [
                f"| `{each.metavar or each.name.upper()}` | {_plain(each.help)} |" for each in arguments
            ]
            lines += [
                f"| {', '.join(f'`{flag}`' for flag in (*each.opts, *each.secondary_opts))} |"
                f" {_plain(each.help)}{_default(each)} |"
                for each in options
            ]
            lines.append("")
    return "\n".join(lines)


def with_commands(document: str) -> str:
    """*document* with that part as it is now."""
    before, _, rest = document.partition(_BEGIN)
    return f"{before}{_BEGIN}{commands()}{_END}{rest.partition(_END)[2]}"


def write() -> None:
    DOCUMENT.write_text(with_commands(DOCUMENT.read_text()))
