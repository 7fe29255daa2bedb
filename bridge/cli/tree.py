"""All commands as one tree (wiring); each file beside this one adds its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

import bridge
from bridge.cli.reference import add_reference
from bridge.cli.serving import add_serving

if TYPE_CHECKING:
    import asyncio


def command_tree(loop_factory: Callable[[], "asyncio.AbstractEventLoop"]) -> typer.Typer:
    """`bridge` with every command there is."""
    app = typer.Typer(
        help="An HTTP front door to a message log: Apache Iggy, or an embedded durable log.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @app.callback()
    def root(
        *,
        _version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
            ),
        ] = False,
    ) -> None: ...

    add_serving(app, loop_factory)
    add_reference(app)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bridge {bridge.__version__}")
        raise typer.Exit
