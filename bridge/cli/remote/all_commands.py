"""The commands that ask a bridge, in the order that help shows them (wiring)."""

import typer

from bridge.cli.remote.bench_command import add_bench
from bridge.cli.remote.context_commands import add_contexts
from bridge.cli.remote.copy_command import add_copy
from bridge.cli.remote.file_commands import add_files
from bridge.cli.remote.group_commands import add_groups
from bridge.cli.remote.offset_commands import add_offsets
from bridge.cli.remote.publishing_command import add_publishing
from bridge.cli.remote.reading_commands import add_reading
from bridge.cli.remote.top_command import add_top
from bridge.cli.remote.topic_commands import add_topics


def add_remote(app: typer.Typer) -> None:
    adders = (
        add_publishing,
        add_reading,
        add_topics,
        add_groups,
        add_offsets,
        add_copy,
        add_files,
        add_bench,
        add_top,
        add_contexts,
    )
    for add in adders:
        add(app)
