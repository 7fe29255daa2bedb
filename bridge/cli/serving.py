"""`bridge serve`, `bridge config`, `bridge health`, `bridge openapi` (wiring): what concerns the process on this machine."""

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.entry import WORKER_COMMAND
from bridge.cli.health import own_url, probe
from bridge.cli.settings import effective_of, json_rows, print_table, with_settings

if TYPE_CHECKING:
    import asyncio

    from bridge.config import Effective


def add_serving(app: typer.Typer, loop_factory: Callable[[], "asyncio.AbstractEventLoop"]) -> None:
    @app.command()
    @with_settings
    def serve(**given: Any) -> None:
        """Serve HTTP until SIGTERM, SIGINT or SIGHUP (reads files of keys and of TLS again where these are set). Without IGGY_CONNECTION_STRING the embedded log in DATA_DIR is used."""
        raise typer.Exit(_serve(effective_of(given), loop_factory))

    @app.command()
    @with_settings
    def config(*, as_json: bool = False, **given: Any) -> None:
        """Show the effective configuration and where each setting came from; secrets are hidden."""
        effective = effective_of(given)
        if as_json:
            typer.echo(json.dumps(json_rows(effective), indent=2))
        else:
            print_table(effective)

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

    @app.command()
    def openapi() -> None:
        """Print the OpenAPI document of the HTTP routes, as GET /openapi.json serves it."""
        from bridge.web.handlers.reference import document_json  # noqa: PLC0415 (the server, when it is asked for)

        typer.echo(document_json().decode())


def _serve(effective: "Effective", loop_factory: Callable[[], "asyncio.AbstractEventLoop"]) -> int:
    from bridge.workers.cores import worker_count  # noqa: PLC0415 (the server, when it is asked for)

    count = worker_count(effective.config)
    if count > 1:
        from bridge.workers.supervisor import run_workers  # noqa: PLC0415

        return run_workers(effective, count, command=WORKER_COMMAND)
    from bridge.process.serve import run  # noqa: PLC0415

    return run(effective, loop_factory=loop_factory)
