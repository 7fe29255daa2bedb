"""The command line (wiring): `bridge serve`, `bridge config`, `bridge health`.

typer, rich and the server are imported when a command needs them: a container asks `bridge health` all the time.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import bridge

if TYPE_CHECKING:
    import asyncio

    import typer

    from bridge.config import Effective

__all__ = ("WORKER_COMMAND", "LoopFactory", "main", "own_url", "probe")

LoopFactory = Callable[[], "asyncio.AbstractEventLoop"]

#: The one argument of a worker; not for people, a parent says all else through a pipe.
WORKER_COMMAND: Final = "worker"

_TIMEOUT_S: Final = 3.0
_WELL: Final = 200
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (it is translated away)
# How a container's HEALTHCHECK calls it; anything else takes the long way through typer.
_FAST_PROBES: Final = {("health",): False, ("health", "--ready"): True}


def main(arguments: Sequence[str], *, loop_factory: LoopFactory) -> int:
    """
    Run one command and return its exit code.

    Raises:
        SystemExit: from typer, with the exit code.
    """
    if tuple(arguments) == (WORKER_COMMAND,):
        # Not for people: a parent starts it and tells it all through a pipe.
        from bridge.workers.worker import run_worker  # noqa: PLC0415

        return run_worker(loop_factory=loop_factory)
    fast = _FAST_PROBES.get(tuple(arguments))
    if fast is not None:
        return probe(own_url(os.environ), ready=fast)
    _commands(loop_factory)(args=list(arguments), prog_name="bridge")
    return 0


def _commands(loop_factory: LoopFactory) -> "typer.Typer":
    import typer  # noqa: PLC0415

    app = typer.Typer(
        help="An HTTP front door to a message log: Apache Iggy, or an embedded durable log.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    def show_version(asked: bool) -> None:
        if asked:
            typer.echo(f"bridge {bridge.__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        *,
        _version: Annotated[
            bool,
            typer.Option(
                "--version", callback=show_version, is_eager=True, help="Show the version and exit."
            ),
        ] = False,
    ) -> None: ...

    @app.command()
    @_with_settings
    def serve(**given: Any) -> None:
        """Serve HTTP until SIGTERM, SIGINT or SIGHUP. Without IGGY_CONNECTION_STRING the embedded log in DATA_DIR is used."""
        raise typer.Exit(_serve(_effective(given), loop_factory))

    @app.command()
    @_with_settings
    def config(*, as_json: bool = False, **given: Any) -> None:
        """Show the effective configuration and where each setting came from; secrets are hidden."""
        effective = _effective(given)
        if as_json:
            typer.echo(json.dumps(_json_rows(effective), indent=2))
        else:
            _print_table(effective)

    @app.command()
    def health(
        url: Annotated[
            str | None, typer.Option(help="Base address of the bridge; from HOST and PORT when left out.")
        ] = None,
        *,
        ready: Annotated[bool, typer.Option("--ready", help="Ask /ready instead of /health.")] = False,
    ) -> None:
        """Ask a running bridge how it is: exit 0 if it is well, else 1."""
        raise typer.Exit(probe(url or own_url(os.environ), ready=ready))

    return app


def own_url(environ: Mapping[str, str]) -> str:
    """Where the bridge of this very environment listens."""
    host = environ.get("HOST", "").strip() or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{environ.get('PORT', '').strip() or '8000'}"


def probe(url: str, *, ready: bool) -> int:
    """Ask `/health` or `/ready` under *url* and print the answer in a word: 0 if it is 200, else 1."""
    path = "/ready" if ready else "/health"
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            sys.stderr.write("bridge health: the address must be http://host:port\n")
            return 1
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        sys.stderr.write(f"bridge health: {path} does not answer: {type(error).__name__}\n")
        return 1
    sys.stdout.write(f"{path} {status}\n")
    return 0 if status == _WELL else 1


def _serve(effective: "Effective", loop_factory: LoopFactory) -> int:
    from bridge.workers.cores import worker_count  # noqa: PLC0415

    count = worker_count(effective.config)
    if count > 1:
        from bridge.workers.supervisor import run_workers  # noqa: PLC0415

        return run_workers(effective, count)
    from bridge.process.serve import run  # noqa: PLC0415

    return run(effective, loop_factory=loop_factory)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag per setting, read off the table of settings."""
    import typer  # noqa: PLC0415

    from bridge.config import SETTINGS  # noqa: PLC0415
    from bridge.config.settings import SECTION_TITLES, Kind, default_text, range_text  # noqa: PLC0415

    parameters = [
        inspect.Parameter(
            "config_path",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None, typer.Option("--config", metavar="PATH", help="TOML file with settings.")
            ],
        )
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
            show_default=False,
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


def _effective(given: Mapping[str, Any]) -> "Effective":
    """The configuration, or the end of the process with every fault of it on stderr."""
    import typer  # noqa: PLC0415

    from bridge.config import Inputs, parse  # noqa: PLC0415
    from bridge.errors import ConfigError  # noqa: PLC0415
    from bridge.process.adapters import WIRING_RULES  # noqa: PLC0415
    from bridge.process.files import read_secret, read_toml  # noqa: PLC0415
    from bridge.process.shutdown import EXIT_CONFIG  # noqa: PLC0415

    flags = {
        name.upper(): str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
        if value is not None and name != "config_path"
    }
    path = given.get("config_path")
    try:
        toml_text = None if path is None else read_toml(path)
        inputs = Inputs(flags=flags, environ=os.environ, toml_text=toml_text, read_secret=read_secret)
        return parse(inputs, rules=WIRING_RULES)
    except ConfigError as error:
        count = len(error.faults)
        lines = [f"bridge: the configuration has {count} fault{'s' if count > 1 else ''}:"]
        lines += [f"  {fault}" for fault in error.faults]
        lines.append("Nothing was started. `bridge serve --help` lists every setting.")
        sys.stderr.write("\n".join(lines) + "\n")
        raise typer.Exit(EXIT_CONFIG) from None


def _json_rows(effective: "Effective") -> dict[str, Any]:
    return {
        "settings": {
            setting.env: {"value": value, "source": source} for setting, value, source in effective.rows()
        },
        "warnings": list(effective.warnings),
    }


def _print_table(effective: "Effective") -> None:
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
