"""`mnemon chat`: the front door. A conversation on a terminal, or one message a line from a pipe."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from mnemon.cli.output import (
    DbOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    ModelOption,
    UserOption,
    console,
    note,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from mnemon.agent import Assistant
    from mnemon.settings import Settings

HELP = (
    ("/why", "the memories that the last reply rests on"),
    ("/facts [words]", "what is known about you"),
    ("/memories words", "search what was said"),
    ("/forget words", "forget what holds these words, and all that was derived from it"),
    ("/undo", "take back the last write"),
    ("/thread [name]", "show or change the conversation"),
    ("/help", "this list"),
    ("/quit", "leave (Ctrl-D does too); Ctrl-C stops a reply and keeps what was said"),
)


def register(app: typer.Typer) -> None:
    app.command("chat")(chat)


def chat(
    user: UserOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    thread: Annotated[str, typer.Option(help="The conversation to go on with.")] = "chat",
    once: Annotated[
        str | None, typer.Option("--once", help="Answer this one message and end.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Sample replies by this seed; without it replies are greedy.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the memories under each reply.")] = False,
    steer: Annotated[
        bool, typer.Option("--steer/--no-steer", help="Steer the model towards the memories.")
    ] = True,
    strength: Annotated[
        float, typer.Option("--lambda", min=0.0, help="How hard to steer towards the memories.")
    ] = 1.0,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Recall what was said before.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Talk to the assistant. It remembers what you say; /help inside lists what else it can do."""
    from mnemon.settings import load_settings

    settings = load_settings(user=user, db=db, model=model, device=device, engine=engine)
    assistant = _open(settings, seed=seed, grounding=strength if steer else 0.0, use_memory=memory)
    screen = Screen(assistant, thread=thread, explain=explain, as_json=as_json)
    if once is not None:
        screen.say(once)
    elif sys.stdin.isatty():
        _converse(screen, settings)
        _tidy_up(assistant)
    else:
        for line in sys.stdin:
            if line.strip():
                screen.take(line.strip())


def _open(settings: "Settings", *, seed: int | None, grounding: float, use_memory: bool) -> "Assistant":
    from mnemon.agent import Assistant, ReplyOptions

    options = ReplyOptions(max_tokens=256, temperature=0.0 if seed is None else 0.7, top_p=0.95, seed=seed)
    with _working("Waking up ..."):
        return Assistant.open(
            settings.db,
            user=settings.user,
            model=settings.model,
            device=settings.device,
            engine=settings.engine,
            options=options,
            grounding=grounding,
            use_memory=use_memory,
        )


class Screen:
    """One conversation: takes lines, says replies, answers slash commands."""

    def __init__(self, assistant: "Assistant", *, thread: str, explain: bool, as_json: bool) -> None:
        self.assistant = assistant
        self.thread = thread
        self.explain = explain
        self.as_json = as_json

    def take(self, line: str) -> bool:
        """One line of the person. False: they want to leave."""
        if not line.startswith("/"):
            self.say(line)
            return True
        command, _, rest = line[1:].partition(" ")
        if command in ("quit", "exit"):
            return False
        {
            "why": self._why,
            "facts": self._facts,
            "memories": self._memories,
            "forget": self._forget,
            "undo": self._undo,
            "thread": self._thread,
            "help": self._help,
        }.get(command, self._unknown)(rest.strip() or "")
        return True

    def say(self, text: str) -> None:
        """Answer one message, piece by piece."""
        from mnemon.errors import MnemonError

        if self.as_json:
            reply = self.assistant.reply(text, thread=self.thread)
            print_json(reply)
            return
        try:
            self._show(self._stoppable(text))
        except MnemonError as error:  # one message that cannot be answered does not end the conversation
            if not sys.stdin.isatty():
                raise
            note(str(error))
            return
        if self.explain:
            self._why("")

    def _stoppable(self, text: str) -> Iterator[str]:
        """The reply; Ctrl-C ends it where it stands, and what was said is kept."""
        with _interrupt_calls(self.assistant.stop):
            yield from self.assistant.stream(text, thread=self.thread)

    def _show(self, pieces: Iterator[str]) -> None:
        if not sys.stdout.isatty():
            for piece in pieces:
                sys.stdout.write(piece)
                sys.stdout.flush()
            sys.stdout.write("\n")
            return
        from rich.live import Live
        from rich.markdown import Markdown
        from rich.spinner import Spinner

        said = ""
        with Live(Spinner("dots", "remembering"), console=console(), refresh_per_second=12) as live:
            for piece in pieces:
                said += piece
                live.update(Markdown(said))

    # --- slash commands

    def _why(self, _: str) -> None:
        last = self.assistant.last
        if last is None:
            note("Nothing was said yet.")
        elif not last.memories:
            note("No memory was used.")
        else:
            rows = [
                (memory.mark, f"{memory.time:%Y-%m-%d}", memory.speaker, f"{memory.score:.2f}", memory.text)
                for memory in last.memories
            ]
            print_table(["", "When", "Who", "Score", "Remembered"], rows)

    def _facts(self, words: str) -> None:
        facts = self.assistant.person.facts(about=words or None)
        if not facts:
            note("Nothing is known" + (f" about {words!r}." if words else " yet."))
            return
        rows = [(fact.text, f"{fact.valid_from:%Y-%m-%d}" if fact.valid_from else "") for fact in facts]
        print_table(["Known", "Since"], rows)

    def _memories(self, words: str) -> None:
        if not words:
            note("Which? Say: /memories my dog")
            return
        hits = self.assistant.person.recall(words, k=8)
        name = self.assistant.person.user
        rows = [
            (
                f"{hit.time:%Y-%m-%d}" if hit.time else "",
                name if hit.role == "user" else hit.speaker,
                hit.text,
            )
            for hit in hits
        ]
        print_table(["When", "Who", "Said"], rows)

    def _forget(self, words: str) -> None:
        if not words:
            note("Forget what? Say: /forget my old address")
            return
        plan = self.assistant.person.would_forget(words)
        gone = self.assistant.person.forget(words) if plan.episodes or plan.facts else plan
        note(f"Forgotten: {len(gone.episodes)} turns, {len(gone.facts)} facts.")

    def _undo(self, _: str) -> None:
        undone = self.assistant.person.undo()
        note(f"Taken back:\n{undone}")

    def _thread(self, name: str) -> None:
        if name:
            self.thread = name
        note(f"This conversation is {self.thread!r}.")

    def _help(self, _: str) -> None:
        print_table(["Command", "What it does"], HELP)

    def _unknown(self, _: str) -> None:
        note("There is no such command; /help lists them.")


def _converse(screen: Screen, settings: "Settings") -> None:
    """The prompt of a terminal: history, and Esc Enter for a new line."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import HTML
    from prompt_toolkit.history import InMemoryHistory

    from mnemon.errors import MnemonError

    # The arrow keys bring back what was said from the memory itself: a history file would outlive `erase`.
    said = screen.assistant.person.timeline(limit=200, newest_first=True)
    earlier = [turn.text for turn in reversed(said) if turn.role == "user"]
    session: PromptSession[str] = PromptSession(history=InMemoryHistory(earlier))
    known = len(screen.assistant.person.facts())
    model = screen.assistant.model.name
    note(f"{model} · memory of {settings.user} in {settings.db} · {known} facts known · /help")
    while True:
        try:
            line = session.prompt(HTML("<b>you</b> › ")).strip()
            if line and not screen.take(line):
                return
        except KeyboardInterrupt:
            continue  # an empty line, as in a shell
        except EOFError:
            return
        except MnemonError as error:
            note(str(error))


def _tidy_up(assistant: "Assistant") -> None:
    """Consolidate what was said. Ctrl-C leaves it for another time: a stopped one has changed nothing."""
    with suppress(KeyboardInterrupt), _working("Tidying up; Ctrl-C to leave at once ..."):
        assistant.person.consolidate()


@contextmanager
def _interrupt_calls(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, Ctrl-C calls `stop` and raises nothing."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        with _no_echo_of_controls():
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _no_echo_of_controls() -> Iterator[None]:
    """The terminal's own "^C" would stand in the middle of a reply that is still being drawn."""
    try:
        import termios
    except ImportError:  # Windows echoes no controls
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = list(before)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


@contextmanager
def _working(what: str) -> Iterator[None]:
    """A spinner on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(what):
        yield
