"""Settings on the command line (shell): one flag for each, and the effective ones shown."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bridge.config import Effective, Rule


ConfigPath = Annotated[str | None, typer.Option("--config", metavar="PATH", help="TOML file with settings.")]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag per setting, read off the table of settings."""
    from bridge.config import SETTINGS  # noqa: PLC0415
    from bridge.config.settings import SECTION_TITLES, Kind, default_text, range_text  # noqa: PLC0415

    parameters = [
        inspect.Parameter("config_path", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigPath)
    ]
    if "as_json" in inspect.signature(command).parameters:
        option = typer.Option("--json", help="As JSON.")
        parameters.append(
            inspect.Parameter(
                "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
            )
        )
    for each in SETTINGS:
        env = each.file_env if each.spec.secret else each.env
        default = f" [dim]default: {default_text(each)}[/]" if default_text(each) else ""
        flags = (
            (each.flag, f"--no-{each.key}".replace("_", "-")) if each.kind is Kind.YES_NO else (each.flag,)
        )
        allowed = range_text(each)
        option = typer.Option(
            *(("/".join(flags),) if len(flags) > 1 else flags),
            help=f"{_file_help(each.spec.help) if each.spec.secret else each.spec.help}."
            f" [dim]{env}[/]{f' [dim]({allowed})[/]' if allowed != 'text' else ''}{default}",
            metavar=None if each.kind is Kind.YES_NO else ("PATH" if each.spec.secret else "VALUE"),
            rich_help_panel=SECTION_TITLES[each.section],
        )
        kind = bool | None if each.kind is Kind.YES_NO else str | None
        parameters.append(
            inspect.Parameter(
                env.lower(), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _file_help(text: str) -> str:
    return f"File that holds: {text[0].lower()}{text[1:]}"


def read_settings(
    given: Mapping[str, Any], config_path: str | None, *, rules: "Iterable[Rule] | None" = None
) -> "Effective":
    """The configuration of these flags, the environment and the file.

    Args:
        rules: beside those of `config`; None for all that the wiring has.

    Raises:
        ConfigError: with every fault found.
    """
    from bridge.config import Inputs, parse  # noqa: PLC0415
    from bridge.process.files import read_secret, read_toml  # noqa: PLC0415
    from bridge.process.rules import WIRING_RULES  # noqa: PLC0415

    flags = {
        name.upper(): str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
        if value is not None and name != "config_path"
    }
    toml_text = None if config_path is None else read_toml(config_path)
    inputs = Inputs(flags=flags, environ=os.environ, toml_text=toml_text, read_secret=read_secret)
    return parse(inputs, rules=WIRING_RULES if rules is None else rules)


def effective_of(given: Mapping[str, Any]) -> "Effective":
    """The configuration, or the end of the process with every fault of it on stderr."""
    from bridge.errors import ConfigError  # noqa: PLC0415
    from bridge.process.shutdown import EXIT_CONFIG  # noqa: PLC0415

    try:
        return read_settings(given, given.get("config_path"))
    except ConfigError as error:
        count = len(error.faults)
        lines = [f"bridge: the configuration has {count} fault{'s' if count > 1 else ''}:"]
        lines += [f"  {fault}" for fault in error.faults]
        lines.append("Nothing was started. `bridge serve --help` lists every setting.")
        sys.stderr.write("\n".join(lines) + "\n")
        raise typer.Exit(EXIT_CONFIG) from None


def json_rows(effective: "Effective") -> dict[str, Any]:
    return {
        "settings": {
            setting.env: {"value": value, "source": source} for setting, value, source in effective.rows()
        },
        "warnings": list(effective.warnings),
    }


def print_table(effective: "Effective") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for heading in ("Setting", "Value", "Source"):
        table.add_column(heading, overflow="fold")
    for setting, value, source in effective.rows():
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        table.add_row(setting.env, escape(text), source, style="dim" if source == "default" else None)
    Console().print(table)
    for warning in effective.warnings:
        Console(stderr=True).print(f"warning: {escape(warning)}")
