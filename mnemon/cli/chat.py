"""`mnemon chat`: the front door. A conversation on a terminal, or one message a line from a pipe."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.chat_screen import Screen
from mnemon.cli.chat_terminal import PipedLines, TypedLines, working
from mnemon.cli.output import (
    DbOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    ModelOption,
    UserOption,
    note,
)

if TYPE_CHECKING:
    from mnemon.agent import Assistant
    from mnemon.profiles import Persona
    from mnemon.settings import Settings

EARLIER = 200  # turns of before that the arrow keys bring back


def register(app: typer.Typer) -> None:
    app.command("chat")(chat)


def chat(
    user: UserOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    persona: Annotated[
        str | None,
        typer.Option("--persona", help="A shared persona instead of your own.", show_default=False),
    ] = None,
    trait: Annotated[
        list[str] | None,
        typer.Option("--trait", help="concise=0.8, over what was learnt; repeat it.", show_default=False),
    ] = None,
    strength: Annotated[float, typer.Option("--lambda", min=0.0, help="How hard to steer.")] = 1.0,
    steer: Annotated[
        bool,
        typer.Option("--steer/--no-steer", help="Steer the model, or only tell it what is remembered."),
    ] = True,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Recall what was said before.")] = True,
    thread: Annotated[str, typer.Option(help="The conversation to go on with.")] = "chat",
    once: Annotated[
        str | None, typer.Option("--once", help="Answer this one message and end.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Sample replies by this seed; without it replies are greedy.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show /why under each reply.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Talk to the assistant. It remembers what you say; /help inside lists what else it can do."""
    from mnemon.settings import load_settings

    settings = load_settings(user=user, db=db, model=model, device=device, engine=engine)
    with _open(
        settings,
        persona=persona,
        traits=trait or [],
        strength=strength,
        steer=steer,
        memory=memory,
        seed=seed,
    ) as assistant:
        screen = Screen(assistant, thread=thread, explain=explain, as_json=as_json, strength=strength)
        if once is not None:
            screen.say(once)
        elif sys.stdin.isatty():
            _converse(screen, settings)
        else:
            _answer_lines(screen)


def _open(
    settings: "Settings",
    *,
    persona: str | None,
    traits: list[str],
    strength: float,
    steer: bool,
    memory: bool,
    seed: int | None,
) -> "Assistant":
    from mnemon.agent import Assistant, ReplyOptions
    from mnemon.cli.persona import weighted

    options = ReplyOptions(max_tokens=256, temperature=0.0 if seed is None else 0.7, top_p=0.95, seed=seed)
    given = None if persona is None else _shared(persona)
    weights = dict(weighted(one) for one in traits)
    with working("Waking up ..."):
        return Assistant.open(
            settings.db,
            user=settings.user,
            model=settings.model,
            device=settings.device,
            engine=settings.engine,
            options=options,
            grounding=strength,
            strength=strength,
            steer=steer,
            use_memory=memory,
            persona=given,
            traits=weights,
        )


def _shared(name: str) -> "Persona":
    from mnemon.profiles.library import Library

    library = Library.usual()
    return library.get(name).resolved(library.all())


def _answer_lines(screen: Screen) -> None:
    """One message a line, until there are no more or one of them leaves."""
    lines = PipedLines(sys.stdin)
    screen.agree = lines.agree
    with suppress(EOFError):
        while screen.take(lines.read()):
            pass


def _converse(screen: Screen, settings: "Settings") -> None:
    from mnemon.memory.inputs import without_password

    assistant = screen.assistant
    said = assistant.person.timeline(limit=EARLIER, newest_first=True)
    lines = TypedLines([turn.text for turn in reversed(said) if turn.role == "user"])
    screen.agree = lines.agree
    known = len(assistant.person.facts())
    note(f"{assistant.model.name} · memory of {settings.user} in {without_password(settings.db)}")
    note(f"{known} {'fact' if known == 1 else 'facts'} known · /help lists the commands")
    screen.take_up()
    while True:
        try:
            line = lines.read()
            if line and not screen.take(line):
                break
        except KeyboardInterrupt:
            continue  # an empty line, as in a shell
        except EOFError:
            break
    # Ctrl-C leaves it for another time: a tidying that was stopped has changed nothing.
    with suppress(KeyboardInterrupt), working("Tidying up; Ctrl-C to leave at once ..."):
        assistant.person.consolidate()
