"""`mnemon migrate`: people's memories from one database to another, of whichever kind."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import JsonOption, emit, note, print_table, progress

if TYPE_CHECKING:
    from mnemon.memory.moving import Moved


def register(app: typer.Typer) -> None:
    app.command("migrate")(_migrate)


def _migrate(
    source: Annotated[str, typer.Option("--from", help="The database to read: a path or a URL.")],
    target: Annotated[str, typer.Option("--to", help="The database to write: a path or a URL.")],
    user: Annotated[list[str] | None, typer.Option("--user", "-u", help="Only this person.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy memories to another database, and compare them by hash. Run again, it goes on where it stopped."""
    from mnemon.errors import UsageError
    from mnemon.memory import Memory

    if source == target:
        raise UsageError(f"Both databases are {source!r}.", hint="Give --from and --to different ones.")
    if "://" not in source and not Path(source).exists():
        raise UsageError(f"There is no database {source!r}.", hint="--from names the one to be read.")
    with (
        Memory.open(source, embedder=None, extractor=None) as reading,
        Memory.open(target, embedder=None, extractor=None) as writing,
        progress("Moving memories", unit="records") as advance,
    ):
        moved = reading.move_to(writing, users=user, dry_run=dry_run, progress=advance)

    def show(people: "list[Moved]") -> None:
        print_table(
            ("person", "records", "to write" if dry_run else "written", "embeddings", "sha256"),
            [(one.user, one.records, one.written, one.vectors, one.digest[:16]) for one in people],
        )
        if not dry_run:
            note("Both sides hold the same. The old database was only read; remove it when you are sure.")

    emit(moved, as_json=as_json, human=show)
