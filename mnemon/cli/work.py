"""`mnemon work`: what servers put off, done by a process of its own; and what waits."""

import time
from typing import Annotated

import typer

from mnemon.cli.output import DbOption, DeviceOption, EmbedderOption, JsonOption, emit, note, print_table

PAUSE_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    app.command("work", rich_help_panel="Serving")(_work)


def _work(
    db: DbOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
    waiting: Annotated[bool, typer.Option("--list", help="Only show what waits.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do what servers put off: tidy up after conversations, embed what came in at once. For Postgres; as many
    processes as you like. They embed for servers that have the same --embedder."""
    from mnemon.cli.serving import open_memory
    from mnemon.errors import StoreError, UsageError
    from mnemon.settings import load_settings

    memory, _ = open_memory(load_settings(db=db, embedder=embedder, device=device))
    with memory:
        chores = memory.chores
        if chores is None:
            raise UsageError(
                "This memory keeps no jobs: on SQLite each process tidies up what it wrote.",
                hint="Name a Postgres database: --db postgresql://...",
            )
        if waiting:
            columns = ("number", "person", "task", "asked", "attempts", "last error")
            emit(chores.waiting(), as_json=as_json, human=lambda found: print_table(columns, found))
            return
        note("Working; Ctrl-C ends it.")
        while True:
            try:
                chores.do()
            except StoreError as error:  # a server that is away comes back
                if once:
                    raise
                note(error.message)
            if once:
                return
            time.sleep(PAUSE_SECONDS)
