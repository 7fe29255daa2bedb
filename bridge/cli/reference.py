"""`bridge openapi` (wiring): what the routes take and give, with nothing started."""

import typer


def add_reference(app: typer.Typer) -> None:
    @app.command()
    def openapi() -> None:
        """Print the OpenAPI document of the HTTP routes, as GET /openapi.json serves it."""
        from bridge.web.handlers.reference import document_json  # noqa: PLC0415 (the server, when it is asked for)

        typer.echo(document_json().decode())
