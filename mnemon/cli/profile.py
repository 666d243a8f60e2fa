"""The profile on the command line: show, why, edit, refresh, history, back, export."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli import profile_show as show
from mnemon.cli.memory import NO_EMBEDDER, person
from mnemon.cli.output import DbOption, DeviceOption, JsonOption, UserOption, emit

if TYPE_CHECKING:
    from mnemon.memory import Person
    from mnemon.profiles import Profile

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="As it was taken to be then.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Who the person is: statements with their evidence.", no_args_is_help=True)
    for name, command in (
        ("show", show_profile),
        ("why", why),
        ("edit", edit),
        ("refresh", refresh),
        ("history", history),
        ("back", back),
        ("export", export),
    ):
        group.command(name)(command)
    app.add_typer(group, name="profile", rich_help_panel="Person")


def show_profile(
    as_of: AsOfOption = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who the person is, in sections, and how they want to be answered."""
    from mnemon.profiles import profile_of

    with person(user, db, NO_EMBEDDER) as handle:
        found = profile_of(handle, as_of=as_of)
    emit(show.plain_profile(found), as_json=as_json, human=lambda _: show.profile(found))


def why(
    what: Annotated[str, typer.Argument(help="Words of a statement, its key, or a trait.")],
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """The words that statements and traits rest on."""
    from mnemon.errors import UsageError
    from mnemon.profiles import profile_of

    with person(user, db, NO_EMBEDDER) as handle:
        found = profile_of(handle)
    leanings = [one for one in found.persona.leanings if one.trait == what]
    statements = [] if leanings else found.why(what)
    if not leanings and not statements:
        raise UsageError(
            f"Nothing in the profile says {what!r}.", hint="`mnemon profile show` shows all of it."
        )
    emit(
        {"statements": statements, "traits": leanings},
        as_json=as_json,
        human=lambda _: show.evidence(statements, leanings),
    )


def edit(
    add: Annotated[
        list[str] | None, typer.Option("--add", help="'preferences: window seats'; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="A statement's key, or words that only it has.")
    ] = None,
    under: Annotated[
        list[str] | None, typer.Option("--under", help="A shared persona to follow; 'none' for none.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="A sensitive category that may steer replies; 'none' for none."),
    ] = None,
    mood: Annotated[
        bool | None, typer.Option("--mood/--no-mood", help="Say how the person said they feel, or not.")
    ] = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the profile by hand. Edits outlive every refresh; `profile back` takes the last one back."""
    from mnemon.errors import UsageError
    from mnemon.profiles import edits, profile_of
    from mnemon.profiles.library import Library

    if not (add or remove or under or allow) and mood is None:
        raise UsageError(
            "There is nothing to change.", hint="Give --add, --remove, --under, --allow or --mood."
        )
    with person(user, db, NO_EMBEDDER) as handle:
        before = profile_of(handle)
        for one in add or []:
            section, _, text = one.partition(":")
            edits.add_statement(handle, section.strip(), text)
        for one in remove or []:
            edits.remove_statement(handle, _only_key(before, one))
        if under:
            library = Library.usual()
            edits.set_parents(handle, [library.get(name).name for name in under if name != "none"])
        if allow:
            edits.allow(handle, [name for name in allow if name != "none"])
        if mood is not None:
            edits.show_mood(handle, mood)
        handle.refresh_profile()
        after = profile_of(handle)
    changed = before.diff(after)
    emit(changed, as_json=as_json, human=lambda _: str(changed) if changed else "Kept.")


def _only_key(found: "Profile", words: str) -> str:
    from mnemon.errors import UsageError

    hits = found.why(words)
    if len(hits) != 1:
        raise UsageError(
            f"{len(hits)} statements hold {words!r}, expected one.",
            hint="`mnemon profile why WORDS` shows their keys.",
        )
    return hits[0].key


def refresh(
    model: Annotated[
        str | None,
        typer.Option("--model", help="Let this model write shorter statements; unsupported ones go."),
    ] = None,
    device: DeviceOption = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a new version of the profile, if it says something new. Reads only what changed."""
    from mnemon.profiles import profile_of

    with _person_by(model, device, user, db) as handle:
        before = len(handle.profiles())
        handle.refresh_profile()
        versions = handle.profiles()
        found = profile_of(handle)
    emit(
        {"new": len(versions) > before, "versions": len(versions), "statements": len(found.statements)},
        as_json=as_json,
        human=lambda data: (
            f"{'A new version' if data['new'] else 'Nothing new'}: "
            f"{data['statements']} statements, {data['versions']} versions."
        ),
    )


@contextmanager
def _person_by(model: str | None, device: str | None, user: str | None, db: str | None) -> Iterator["Person"]:
    """The handle, with a profiler that asks a model where one is named."""
    if model is None:
        with person(user, db, NO_EMBEDDER) as handle:
            yield handle
        return
    from mnemon.agent import LocalChatModel
    from mnemon.memory import Memory
    from mnemon.profiles import ModelProfiler
    from mnemon.settings import load_settings

    settings = load_settings(user=user, db=db, model=model, device=device)
    profiler = ModelProfiler(LocalChatModel.open(settings.model, device=settings.device))
    with Memory.open(settings.db, embedder=None, profiler=profiler) as memory:
        yield memory.for_user(settings.user)


def history(
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """The versions of the profile and what each changed, oldest first."""
    from mnemon.profiles import Profile

    with person(user, db, NO_EMBEDDER) as handle:
        versions = handle.profiles()
    read = [Profile.from_body(one.body, recorded_at=one.recorded_at, version=one.id) for one in versions]
    steps = [
        {"version": now.version, "at": now.recorded_at, "note": kept.note, "changes": str(before.diff(now))}
        for before, now, kept in zip([Profile(), *read], read, versions, strict=False)
    ]
    emit(steps, as_json=as_json, human=show.history)


def back(
    version: Annotated[
        str | None, typer.Argument(help="The version; see history.", show_default="the one before")
    ] = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to an older version; what changes from now on is added to it."""
    from mnemon.errors import UsageError
    from mnemon.profiles import profile_of

    with person(user, db, NO_EMBEDDER) as handle:
        chosen = version or _before_the_last([(one.id, one.note) for one in handle.profiles()])
        if chosen is None:
            raise UsageError(
                "There is no version before this one.", hint="`mnemon profile history` lists them."
            )
        before = profile_of(handle)
        handle.restore_profile(chosen)
        changed = before.diff(profile_of(handle))
    emit(changed, as_json=as_json, human=lambda _: str(changed))


def _before_the_last(versions: list[tuple[str, str]]) -> str | None:
    """The version before the present one, by ids and notes; going back twice goes back two."""
    ids = [name for name, _ in versions]
    present = len(ids) - 1
    while present >= 0 and versions[present][1].startswith("back to "):
        present = ids.index(versions[present][1].removeprefix("back to "))
    return ids[present - 1] if present > 0 else None


def export(
    path: Annotated[Path, typer.Argument(help="A .json or .md file to write.")],
    as_of: AsOfOption = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the profile to a file, as JSON or for reading."""
    import json

    from mnemon.cli.output import plain
    from mnemon.errors import UsageError
    from mnemon.profiles import profile_of

    if path.suffix not in (".json", ".md"):
        raise UsageError(f"The file is {path.name!r}, expected one that ends in .json or .md.")
    with person(user, db, NO_EMBEDDER) as handle:
        found = profile_of(handle, as_of=as_of)
    if path.suffix == ".json":
        text = json.dumps(plain(show.plain_profile(found)), ensure_ascii=False, indent=2) + "\n"
    else:
        text = show.markdown(found)
    path.write_bytes(text.encode("utf-8", errors="replace"))
    emit(
        {"path": path, "statements": len(found.statements)},
        as_json=as_json,
        human=lambda data: f"Wrote {data['statements']} statements to {data['path']}",
    )
