"""The memory on the command line: remember, recall, facts, history, diff, undo, consolidate, forget, export,
erase, stats, verify, reindex. Each is one call of a person's handle, printed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemon.cli import memory_show as show
from mnemon.cli.output import DbOption, EmbedderOption, JsonOption, UserOption, YesOption, console, emit, note

if TYPE_CHECKING:
    from mnemon.memory import Person
    from mnemon.memory.forgetting import Forgotten

SessionOption = Annotated[str, typer.Option("--session", "-s", help="The conversation it belongs to.")]
TimeOption = Annotated[
    str | None, typer.Option("--time", help="When: ISO 8601; without an offset UTC.", show_default="now")
]
EventOption = Annotated[int | None, typer.Option("--event", help="The number of a write; see diff --log.")]
NO_EMBEDDER = "none"


def register(app: typer.Typer) -> None:
    for name, command in (
        ("remember", remember),
        ("recall", recall),
        ("facts", facts),
        ("history", history),
        ("diff", diff),
        ("undo", undo),
        ("consolidate", consolidate),
        ("forget", forget),
        ("expire", expire),
        ("export", export),
        ("erase", erase),
        ("stats", stats),
        ("verify", verify),
        ("reindex", reindex),
    ):
        app.command(name, rich_help_panel="Memory")(command)


@contextmanager
def person(user: str | None, db: str | None, embedder: str | None = None) -> Iterator["Person"]:
    """The handle that the settings name. `embedder` "none" is search by words alone."""
    from mnemon.front import Memory
    from mnemon.models import is_pulled
    from mnemon.retrievers import SentenceEmbedder
    from mnemon.settings import load_settings

    settings = load_settings(user=user, db=db, embedder=embedder)
    chosen: SentenceEmbedder | None = None
    missing = False
    if settings.embedder != NO_EMBEDDER:
        missing = settings.sources["embedder"] == "default" and not is_pulled(settings.embedder)
        if not missing:
            chosen = SentenceEmbedder(settings.embedder, device=settings.device)
    # Left to itself, memory notes in every hit and in its stats why there is no embedder.
    opened = Memory.open(settings.db) if missing else Memory.open(settings.db, embedder=chosen)
    with opened as memory:
        if missing:
            note("Search is by words alone, the embedder's weights are missing: `mnemon models pull`")
        yield memory.for_user(settings.user)


def remember(
    what: Annotated[str, typer.Argument(help="What was said; - reads it, or JSON messages, from a pipe.")],
    session: SessionOption = "",
    time: TimeOption = None,
    role: Annotated[str, typer.Option("--role", help="user or assistant")] = "user",
    speaker: Annotated[str, typer.Option("--speaker", help="Who said it, if not the user.")] = "",
    source: Annotated[str, typer.Option("--source", help="Where it comes from.")] = "cli",
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remember what was said. It is on the disk when this returns."""
    said = _said(sys.stdin.read()) if what == "-" else what
    with person(user, db, NO_EMBEDDER) as handle:
        before = handle.diff()
        ids = handle.remember(said, time=time, session=session, role=role, speaker=speaker, source=source)
        written = handle.diff()
        new = written if written is not None and (before is None or written.event > before.event) else None
    emit({"ids": ids, "written": new}, as_json=as_json, human=show.remembered)


def recall(
    query: Annotated[str, typer.Argument(help="What you want to know.")],
    k: Annotated[int, typer.Option("-k", help="How many.", min=1)] = 5,
    explain: Annotated[bool, typer.Option("--explain", help="Show why each was found.")] = False,
    unit: Annotated[
        list[str] | None, typer.Option("--unit", help="turn, session, fact, summary; may be given again.")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", help="When it is asked.", show_default="now")] = None,
    before: Annotated[str | None, typer.Option("--before", help="Only what was said before this.")] = None,
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what was said. `--embedder none` searches by words alone and starts faster."""
    with person(user, db, embedder) as handle:
        hits = handle.recall(query, k, time=time, before=before, units=unit or ("turn",))
    emit(hits, as_json=as_json, human=show.explained if explain else show.hits)


def facts(
    about: Annotated[str | None, typer.Option("--about", help="Only those about this.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="What was true then.")] = None,
    known_at: Annotated[str | None, typer.Option("--known-at", help="What was known then.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Also what is no longer true.")] = False,
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is known, with the words it stands on."""
    with person(user, db, embedder if about is not None else NO_EMBEDDER) as handle:
        found = handle.facts(about, as_of=as_of, known_at=known_at, closed=closed)
    emit(found, as_json=as_json, human=show.facts)


def history(
    fact_id: Annotated[str, typer.Argument(help="A fact's id.")],
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """How a fact came to be: every value and every change, in the order in which they were known."""
    with person(user, db, NO_EMBEDDER) as handle:
        found = handle.history(fact_id)
    emit(found, as_json=as_json, human=show.history)


def diff(
    event: EventOption = None,
    log: Annotated[bool, typer.Option("--log", help="List the last writes instead.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="How many to list.", min=1)] = 20,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the last write, or another, has changed."""
    with person(user, db, NO_EMBEDDER) as handle:
        if log:
            emit(handle.log(limit), as_json=as_json, human=show.log)
        else:
            emit(handle.diff(event), as_json=as_json, human=show.diff)


def undo(
    event: EventOption = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the last write, or another by its number."""
    with person(user, db, NO_EMBEDDER) as handle:
        emit(handle.undo(event), as_json=as_json, human=show.diff)


def consolidate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tidy up: merge, close what is no longer true, summarise ended conversations."""
    with person(user, db, NO_EMBEDDER) as handle:
        emit(handle.consolidate(dry_run=dry_run), as_json=as_json, human=show.diff)


def forget(
    target: Annotated[
        str, typer.Argument(help="An id, or words: what holds all of them goes, with all derived from it.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go.")] = False,
    yes: YesOption = False,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget something for good. This cannot be undone."""
    with person(user, db, NO_EMBEDDER) as handle:
        found = handle.would_forget(target)
        if found and not dry_run:
            _agree_to_forget(found, yes=yes)
            found = handle.forget(target)
    emit(show.plain_forgotten(found), as_json=as_json, human=lambda _: show.forgotten(found))


def _agree_to_forget(planned: "Forgotten", *, yes: bool) -> None:
    """Shows what would go and asks, unless the answer was given beforehand."""
    if not yes:
        console(stderr=True).print(show.forgotten(planned))
        _confirm("Forget this for good?")


def expire(
    days: Annotated[float, typer.Option("--older-than", help="Days.", min=0)],
    kind: Annotated[
        str, typer.Option("--kind", help="episode, or a kind of fact: attribute, preference, event ...")
    ] = "episode",
    sessions: Annotated[str, typer.Option("--sessions", help="Only sessions named like this: work-*")] = "*",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go.")] = False,
    yes: YesOption = False,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget for good what is older than so many days."""
    from datetime import timedelta

    from mnemon.errors import UsageError
    from mnemon.memory.decay import RetentionRule

    try:
        age = timedelta(days=days)
    except (OverflowError, ValueError) as error:
        raise UsageError(
            f"--older-than is {days!r}, expected a number of days", hint="For example 365"
        ) from error
    rules = [RetentionRule(older_than=age, kind=kind, sessions=sessions)]
    with person(user, db, NO_EMBEDDER) as handle:
        found = handle.would_expire(rules)
        if found and not dry_run:
            _agree_to_forget(found, yes=yes)
            found = handle.expire(rules)
    emit(show.plain_forgotten(found), as_json=as_json, human=lambda _: show.forgotten(found))


def export(
    path: Annotated[str, typer.Argument(help="The zip to write.")],
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write everything but derived data to a zip."""
    with person(user, db, NO_EMBEDDER) as handle:
        written = handle.export(path)
        counts = handle.stats()
    emit(
        {"path": written, "episodes": counts.episodes, "facts": counts.facts},
        as_json=as_json,
        human=lambda data: f"Wrote {data['episodes']} turns and {data['facts']} facts to {data['path']}",
    )


def erase(
    yes: YesOption = False,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a person with every byte. This cannot be undone."""
    with person(user, db, NO_EMBEDDER) as handle:
        counts = handle.stats()
        if not yes:
            _confirm(f"Erase {handle.user!r}: {counts.episodes} turns, {counts.facts} facts, everything?")
        handle.erase()
    emit(
        {"user": handle.user, "episodes": counts.episodes, "facts": counts.facts},
        as_json=as_json,
        human=lambda data: f"Erased {data['user']!r}: {data['episodes']} turns, {data['facts']} facts.",
    )


def stats(user: UserOption = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """How much there is, and what works on it."""
    with person(user, db) as handle:
        emit(handle.stats(), as_json=as_json, human=show.stats)


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Take out what stands on nothing and rebuild what is derived.")
    ] = False,
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check identities, links, quotes and the database itself. Ends with 4 when something is wrong."""
    with person(user, db, embedder if repair else NO_EMBEDDER) as handle:
        found = handle.verify(repair=repair)
    emit(found, as_json=as_json, human=show.findings)
    if not found:
        raise typer.Exit(4)


def reindex(
    user: UserOption = None,
    db: DbOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild embeddings and indexes from the turns."""
    with person(user, db, embedder) as handle:
        count = handle.reindex()
        name = handle.stats().embedder
    emit(
        {"embeddings": count, "embedder": name},
        as_json=as_json,
        human=lambda data: f"Rebuilt: {data['embeddings']} embeddings by {data['embedder']}.",
    )


def _said(text: str) -> Any:
    """What came from a pipe: JSON messages (a list, one object, or one a line), or plain words."""
    import json

    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError:
        return text  # words that happen to begin with a bracket


def _confirm(question: str) -> None:
    from mnemon.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to be asked.", hint="Say that you mean it: --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
