"""`bridge completion` (shell): the script with which a shell completes commands, options and names of settings."""

import os
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def add_completion(app: typer.Typer) -> None:
    @app.command()
    def completion(
        shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Which shell.")],
    ) -> None:
        """Print the script that completes commands and options: source it, or put it where your shell looks."""
        # The library prints it where its variable says so, which a new process sees from its start.
        done = subprocess.run(
            [sys.executable, "-m", "bridge"],
            env={**os.environ, "_BRIDGE_COMPLETE": f"source_{shell}"},
            check=False,
        )
        raise typer.Exit(done.returncode)
