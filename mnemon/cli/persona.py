"""Personas on the command line: list, new, set, test, optimise, schema.

Without a name it is the person's own, learnt and edited; with one, a shared persona in `<home>/personas`.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli import profile_show as show
from mnemon.cli.memory import NO_EMBEDDER, person
from mnemon.cli.output import (
    DbOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    UserOption,
    console,
    emit,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from mnemon.profiles import Persona
    from mnemon.profiles.library import Library

PersonaOption = Annotated[
    str | None, typer.Option("--persona", "-p", help="A shared persona.", show_default="your own")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="How a person wants to be answered: weighted traits.", no_args_is_help=True)
    for name, command in (
        ("list", list_),
        ("new", new),
        ("set", set_),
        ("test", try_out),
        ("optimise", optimise),
        ("schema", schema),
    ):
        # "-0.5" is a weight, not an option
        numbers = {"ignore_unknown_options": True} if command is set_ else None
        group.command(name, context_settings=numbers)(command)
    app.add_typer(group, name="persona", rich_help_panel="Person")


def list_(
    traits: Annotated[bool, typer.Option("--traits", help="List the traits that there are.")] = False,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Your own persona and the shared ones, or the bank of traits."""
    from mnemon.profiles import TraitBank, profile_of

    if traits:
        bank = TraitBank.load()
        rows = [
            {"name": one.name, "says": one.instruction, "opposite": one.opposite, "measure": one.measure}
            for one in bank.values()
        ]
        emit(rows, as_json=as_json, human=lambda _: _trait_table(rows))
        return
    with person(user, db, NO_EMBEDDER) as handle:
        own = profile_of(handle).persona
        name = handle.user
    shared = _library().all()
    emit({"own": own, "shared": shared}, as_json=as_json, human=lambda _: _personas(name, own, shared))


def _trait_table(rows: list[dict[str, str]]) -> None:
    print_table(
        ["Trait", "Instruction", "Opposite", "Measure"],
        [[row["name"], row["says"], row["opposite"], row["measure"]] for row in rows],
    )


def _personas(name: str, own: "Persona", shared: dict[str, "Persona"]) -> None:
    from rich.text import Text

    out = console()
    for title, one in ((f"{name} (own)", own), *shared.items()):
        follows = f"  follows {', '.join(one.parents)}" if one.parents else ""
        out.print(Text(title, style="bold cyan").append(follows, style="dim"))
        if one.note:
            out.print(Text(f"  {one.note}", style="dim"))
        if one.leanings:
            show.leanings(one.leanings)
        else:
            out.print(Text("  no leanings yet", style="dim"))


def new(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    trait: Annotated[list[str] | None, typer.Option("--trait", "-t", help="concise=0.8; repeat it.")] = None,
    from_own: Annotated[
        bool, typer.Option("--from-own", help="Begin with your own weights, without their evidence.")
    ] = False,
    under: Annotated[list[str] | None, typer.Option("--under", help="A shared persona above it.")] = None,
    note: Annotated[str, typer.Option("--note", help="What it is for.")] = "",
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a shared persona that people can follow. It quotes nobody."""
    from mnemon.errors import UsageError
    from mnemon.profiles import Persona, profile_of

    library = _library()
    if name in library.names():
        raise UsageError(
            f"There is a persona {name!r} already.", hint="Change it with `mnemon persona set -p`."
        )
    made = Persona(name=name, note=note)
    if from_own:
        with person(user, db, NO_EMBEDDER) as handle:
            made = profile_of(handle).persona.shared(name, note)
    for one in trait or []:
        key, weight = weighted(one)
        made = made.leaning(key, weight)
    made = made.under(*(library.get(parent).name for parent in under or []))
    path = library.put(made)
    emit(
        {"name": name, "path": path, "leanings": len(made.leanings)},
        as_json=as_json,
        human=lambda data: f"Made {name}: {data['path']}",
    )


def set_(
    trait: Annotated[str, typer.Argument(help="A trait; `persona list --traits` lists them.")],
    weight: Annotated[
        float | None, typer.Argument(help="From -1, its opposite, to 1.", min=-1, max=1, show_default=False)
    ] = None,
    when: Annotated[str, typer.Option("--when", help="A topic, or words of the question: code.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Forget what was learnt of it.")] = False,
    persona: PersonaOption = None,
    user: UserOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set how much a trait is wanted: `set concise 0.8`, `set formal -0.5 --when code`."""
    from mnemon.errors import UsageError
    from mnemon.profiles import edits, profile_of

    if (weight is None) != drop:
        raise UsageError("Give a weight, or --drop.", hint="mnemon persona set concise 0.8")
    if persona is not None:
        library = _library()
        before = library.get(persona)
        after = before.without(trait, when) if weight is None else before.leaning(trait, weight, when=when)
        library.put(after)
    else:
        with person(user, db, NO_EMBEDDER) as handle:
            before = profile_of(handle).persona
            if weight is None:
                edits.drop_trait(handle, trait, when=when)
            else:
                edits.set_trait(handle, trait, weight, when=when)
            handle.refresh_profile()
            after = profile_of(handle).persona
    changed = before.diff(after)
    emit(changed, as_json=as_json, human=lambda _: str(changed))


def try_out(
    prompt: Annotated[str, typer.Argument(help="What to answer.")],
    persona: PersonaOption = None,
    max_tokens: Annotated[int, typer.Option(help="The longest reply.", min=1)] = 100,
    user: UserOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer without and with the persona, and count what its traits are about."""
    from mnemon.agent import LocalChatModel, ReplyOptions
    from mnemon.profiles.measures import MEASURES, Reading
    from mnemon.settings import load_settings

    chosen = _chosen(persona, user, db)
    settings = load_settings(model=model, device=device)
    local = LocalChatModel.open(settings.model, device=settings.device)
    messages = [{"role": "user", "content": prompt}]
    options = ReplyOptions(max_tokens=max_tokens)
    plan = chosen.plan(prompt)
    replies = {
        "without": local.reply(messages, options).text,
        "steered": local.steer(messages, chosen.compile(local, prompt), options=options).reply.text,
    }
    names = dict.fromkeys(wish.trait.measure for wish in plan.wishes if wish.trait.measure)
    counted = {
        name: {way: round(MEASURES[name].count(Reading(text)), 2) for way, text in replies.items()}
        for name in names
    }
    emit(
        {"plan": plan.to_dict(), "replies": replies, "measures": counted},
        as_json=as_json,
        human=lambda _: _compared(replies, counted),
    )


def _compared(replies: dict[str, str], counted: dict[str, dict[str, float]]) -> None:
    from rich.text import Text

    out = console()
    for way, text in replies.items():
        out.print(Text(way, style="bold cyan"))
        out.print(Text(text))
    print_table(["Measure", *replies], [[name, *found.values()] for name, found in counted.items()])


def optimise(
    questions: Annotated[int, typer.Option(help="Choices of yours to learn from, newest first.", min=2)] = 20,
    rounds: Annotated[int, typer.Option(help="Changes to try.", min=1)] = 12,
    keep: Annotated[bool, typer.Option("--keep", help="Set the traits that were found.")] = False,
    user: UserOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the traits under which the model finds what you chose likelier than what you did not."""
    from mnemon.agent import LocalChatModel
    from mnemon.profiles import edits, profile_of
    from mnemon.profiles.optimise import Choice, optimised
    from mnemon.settings import load_settings

    with person(user, db, NO_EMBEDDER) as handle:
        pairs = [one for one in handle.feedback_log("pair") if one.good and one.bad][-questions:]
        choices = [Choice(one.query, one.good[0], one.bad[0]) for one in pairs]
        start = profile_of(handle).persona
        settings = load_settings(model=model, device=device)
        local = LocalChatModel.open(settings.model, device=settings.device)
        found = optimised(start, choices, local, rounds=rounds)
        if keep:
            for one in found.persona.leanings:
                if start.get(one.trait, one.when) != one:
                    edits.set_trait(handle, one.trait, one.weight, when=one.when)
            handle.refresh_profile()
    changed = start.diff(found.persona)
    emit(
        {"changes": changed, "before": found.before, "after": found.after, "choices": len(choices)},
        as_json=as_json,
        human=lambda data: f"{changed}\nloss {data['before']:.3f} → {data['after']:.3f} on held-out choices",
    )


def schema() -> None:
    """Print the JSON schema of persona files."""
    from mnemon.profiles.persona_file import persona_schema

    print_json(persona_schema())


def _library() -> "Library":
    from mnemon.profiles.library import Library

    return Library.usual()


def _chosen(name: str | None, user: str | None, db: str | None) -> "Persona":
    """A shared persona, or the person's own, joined with those above it."""
    from mnemon.profiles import persona_of

    if name is not None:
        library = _library()
        return library.get(name).resolved(library.all())
    with person(user, db, NO_EMBEDDER) as handle:
        return persona_of(handle)


def weighted(text: str) -> tuple[str, float]:
    from mnemon.errors import UsageError

    name, _, weight = text.partition("=")
    try:
        return name.strip(), float(weight)
    except ValueError as error:
        raise UsageError(f"--trait is {text!r}, expected a name and a weight: concise=0.8") from error
