"""What the person thinks of replies, on the command line: choose, rate, list, and answer what is asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.memory import NO_EMBEDDER, person
from mnemon.cli.output import DbOption, JsonOption, UserOption, console, emit, note, print_table

if TYPE_CHECKING:
    from mnemon.memory import Feedback


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Say which replies you like; mnemon learns from it.", no_args_is_help=True)
    for name, command in (("choose", choose), ("rate", rate), ("ask", ask), ("list", list_)):
        group.command(name)(command)
    app.add_typer(group, name="feedback", rich_help_panel="Person")


def choose(
    prompt: Annotated[str, typer.Argument(help="What was asked.")],
    chosen: Annotated[str, typer.Argument(help="The reply you want.")],
    rejected: Annotated[str, typer.Argument(help="The one you do not.")],
    why: Annotated[str, typer.Option("--why", help="In your words.")] = "",
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Of two replies, say which one you want."""
    with person(user, db, NO_EMBEDDER) as handle:
        kept = handle.feedback(prompt, chosen, rejected, why=why)
    emit(kept, as_json=as_json, human=lambda _: f"Kept: {kept.id}")


def rate(
    reply: Annotated[str, typer.Argument(help="The id of a reply; `recall` and `timeline` show ids.")],
    rating: Annotated[str, typer.Argument(help="up or down")],
    why: Annotated[str | None, typer.Option("--why", help="In your words.")] = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Thumbs up or down for a reply that is remembered."""
    from mnemon.errors import UsageError

    if rating not in ("up", "down"):
        raise UsageError(f"The rating is {rating!r}, expected up or down.")
    with person(user, db, NO_EMBEDDER) as handle:
        kept = handle.rate(reply, 1 if rating == "up" else -1, why=why)
    emit(kept, as_json=as_json, human=lambda _: f"Kept: {kept.id}")


def ask(
    count: Annotated[int, typer.Option("--count", "-n", help="Questions.", min=1)] = 5,
    user: UserOption = None,
    db: DbOption = None,
) -> None:
    """Choose between pairs of replies, those first from which most can be learnt."""
    from rich.text import Text

    from mnemon.profiles.choices import Taste

    out = console()
    with person(user, db, NO_EMBEDDER) as handle:
        taste = Taste.for_person(handle)
        for number in range(1, count + 1):
            pair = taste.next_pair()
            out.print(Text(f"{number} of {count}: {pair.question}", style="bold cyan"))
            out.print(Text("1  ", style="bold").append(pair.first, style="not bold"))
            out.print(Text("2  ", style="bold").append(pair.second, style="not bold"))
            answer = typer.prompt("Which one? 1, 2, s to skip, q to end", default="s", err=True)
            if answer == "q":
                break
            if answer in ("1", "2"):
                first = answer == "1"
                chosen, rejected = (pair.first, pair.second) if first else (pair.second, pair.first)
                handle.feedback(pair.question, chosen, rejected)
                taste.update(chosen, rejected, query=pair.question)
        handle.refresh_profile()
    note("`mnemon persona list` shows what was learnt.")


def list_(
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was chosen and rated, oldest first."""
    with person(user, db, NO_EMBEDDER) as handle:
        found = [one for one in handle.feedback_log() if one.about in ("pair", "reply")]
    emit(found, as_json=as_json, human=_table)


def _table(found: Sequence["Feedback"]) -> None:
    if not found:
        console().print("Nothing was chosen or rated yet: `mnemon feedback ask`", style="dim")
        return
    rows = [
        [
            f"{one.recorded_at:%Y-%m-%d}",
            one.about,
            one.query,
            *(_cut(part) for part in (one.good, one.bad)),
            one.note,
        ]
        for one in found
    ]
    print_table(["Day", "Sort", "Asked", "Liked", "Not liked", "Note"], rows)


def _cut(texts: Sequence[str], width: int = 40) -> str:
    line = " | ".join(" ".join(text.split()) for text in texts)
    return line if len(line) <= width else line[: width - 1] + "…"
