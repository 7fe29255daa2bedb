"""All commands as one tree (wiring); each file beside this one adds its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

import bridge
from bridge.cli.backups import add_backups
from bridge.cli.completion import add_completion
from bridge.cli.serving import add_serving

if TYPE_CHECKING:
    import asyncio


#: What `add_serving` adds.
_SERVING: Final = frozenset({"serve", "config", "health"})


def command_tree(
    loop_factory: Callable[[], "asyncio.AbstractEventLoop"],
    *,
    command: str | None = None,
    completes: bool = False,
) -> typer.Typer:
    """`bridge` with every command there is.

    Args:
        command: the one that is asked for, where that is known: what is far from it may be left out.
        completes: answer what a shell asks that completes a command line.
    """
    app = typer.Typer(
        help="An HTTP front door to a message log: Apache Iggy, or an embedded durable log.",
        no_args_is_help=True,
        # Where a shell asks what may follow; the two options that come with it are `bridge completion`.
        add_completion=completes,
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
    add_backups(app)
    if command not in _SERVING:
        from bridge.cli.audit import add_audit  # noqa: PLC0415
        from bridge.cli.doctor.command import add_doctor  # noqa: PLC0415
        from bridge.cli.keys.commands import add_keys  # noqa: PLC0415
        from bridge.cli.remote.all_commands import add_remote  # noqa: PLC0415 (a server needs none of these)

        add_remote(app)
        add_audit(app)
        add_keys(app)
        add_doctor(app)
        add_completion(app)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bridge {bridge.__version__}")
        raise typer.Exit
