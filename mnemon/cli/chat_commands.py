"""The slash commands of the chat screen. Each takes the screen and the words after its name."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mnemon.cli import profile_show
from mnemon.cli.memory_show import clean, forgotten
from mnemon.cli.output import console, note, print_table

if TYPE_CHECKING:
    from mnemon.agent import AssistantReply
    from mnemon.cli.chat_screen import Screen
    from mnemon.memory import Episode

NEWEST = 10  # turns that /memories shows when it is not asked for any


class Command(NamedTuple):
    usage: str
    about: str
    run: "Callable[[Screen, str], None]"


def run(screen: "Screen", line: str) -> bool:
    """Does what a line says that begins with a slash. False: the person wants to leave."""
    from mnemon.errors import MnemonError

    name, _, rest = line[1:].partition(" ")
    if name in ("quit", "exit"):
        return False
    command = COMMANDS.get(name)
    if command is None:
        note("There is no such command; /help lists them.")
        return True
    try:
        command.run(screen, rest.strip())
    except MnemonError as error:
        note(f"{error}" + (f"\n{error.hint}" if error.hint else ""))
    return True


def _why(screen: "Screen", _: str) -> None:
    last = screen.assistant.last
    if last is None:
        note("Nothing was said yet.")
        return
    if last.memories:
        _listed(
            ["", "When", "Who", "Score", "Remembered"],
            [
                (one.mark, f"{one.time:%Y-%m-%d}", one.speaker, f"{one.score:.2f}", one.text)
                for one in last.memories
            ],
        )
    else:
        note("No memory was used.")
    for line in _led(last):
        note(line)


def _led(last: "AssistantReply") -> Iterable[str]:
    """What led the reply besides the memories, and how far."""
    for one in last.traits:
        when = f", when {one.when}" if one.when else ""
        yield f"{one.trait} {one.weight:+.2f}, sure {one.confidence:.2f}, {one.origin}{when}"
    if last.trace is not None and last.trace.tokens:
        strength = sum(token.lam for token in last.trace.tokens) / len(last.trace.tokens)
        yield (
            f"λ {strength:.2f} · KL {last.trace.kl:.2f} nats · "
            f"{last.trace.changed} of {len(last.trace.tokens)} tokens changed by steering"
        )
    yield from last.notes


def _facts(screen: "Screen", words: str) -> None:
    facts = screen.assistant.person.facts(about=words or None)
    if not facts:
        note("Nothing is known" + (f" about {words!r}." if words else " yet."))
        return
    rows = [(fact.text, f"{fact.valid_from:%Y-%m-%d}" if fact.valid_from else "") for fact in facts]
    _listed(["Known", "Since"], rows)


def _memories(screen: "Screen", words: str) -> None:
    person = screen.assistant.person
    if words:
        hits = person.recall(words, k=8)
        rows = [
            (
                f"{hit.time:%Y-%m-%d}" if hit.time else "",
                person.user if hit.role == "user" else hit.speaker,
                hit.text,
            )
            for hit in hits
        ]
    else:
        turns = person.timeline(limit=NEWEST, newest_first=True)[::-1]
        rows = [(f"{turn.time:%Y-%m-%d}", _who(turn, person.user), turn.text) for turn in turns]
    if not rows:
        note("Nothing was said" + (f" of {words!r}." if words else " yet."))
        return
    _listed(["When", "Who", "Said"], rows)


def _who(turn: "Episode", user: str) -> str:
    return turn.speaker or (user if turn.role == "user" else turn.role)


def _profile(screen: "Screen", _: str) -> None:
    from mnemon.profiles import profile_of

    profile_show.profile(profile_of(screen.assistant.person))


def _forget(screen: "Screen", words: str) -> None:
    if not words:
        note("Forget what? Say: /forget my old address")
        return
    person = screen.assistant.person
    plan = person.would_forget(words)
    if not plan:
        note("Nothing found that holds all these words.")
        return
    note(forgotten(plan))
    if screen.agree("Forget this for good?"):
        gone = person.forget(words)
        note(f"Forgotten: {counted(len(gone.episodes), 'turn')}, {counted(len(gone.facts), 'fact')}.")
    else:
        note("Kept.")


def counted(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def _undo(screen: "Screen", _: str) -> None:
    note(f"Taken back:\n{clean(str(screen.assistant.person.undo()), lines=True)}")


def _persona(screen: "Screen", words: str) -> None:
    """`concise 0.8`, `formal -0.5 when code`, `concise off`."""
    from mnemon.errors import UsageError
    from mnemon.profiles import Editor

    before = screen.assistant.persona
    if not words:
        if before.leanings:
            profile_show.leanings(before.leanings)
        else:
            note("No leanings yet. Say how you like to be answered, or: /persona concise 0.8")
        return
    trait, _, rest = words.partition(" ")
    value, _, when = rest.partition(" when ")
    editor = Editor(screen.assistant.person)
    if value.strip() == "off":
        editor.drop_trait(trait, when=when.strip())
    else:
        try:
            weight = float(value)
        except ValueError as error:
            raise UsageError(
                f"{value!r} is no weight for {trait!r}; expected -1 to 1, or off.",
                hint="/persona concise 0.8",
            ) from error
        editor.set_trait(trait, weight, when=when.strip())
    changed = before.diff(screen.assistant.persona)
    note(str(changed) if changed else "Kept; replies here follow what was set when the chat was opened.")


def _lambda(screen: "Screen", words: str) -> None:
    from mnemon.errors import UsageError

    if words:
        try:
            strength = float(words)
        except ValueError as error:
            raise UsageError(f"λ is {words!r}, expected a number from 0.") from error
        screen.assistant.lead(strength)
        screen.strength = strength
    note(f"λ is {screen.strength:g}.")


def _trace(screen: "Screen", words: str) -> None:
    last = screen.assistant.last
    if last is None or last.trace is None:
        note("Nothing was steered in the last reply." if last is not None else "Nothing was said yet.")
        return
    from mnemon.agent.decoding.trace_view import terminal_view

    console().print(terminal_view(last.trace, table=words == "all"))


def _thread(screen: "Screen", name: str) -> None:
    if name:
        screen.thread = name
        note(f"This conversation is {name!r}.")
        screen.take_up()
        return
    note(f"This conversation is {screen.thread!r}.")
    rows = [
        (one.id, one.turns, f"{one.ended:%Y-%m-%d}" if one.ended else "")
        for one in screen.assistant.person.sessions()[-NEWEST:]
        if one.id
    ]
    if rows:
        _listed(["Conversation", "Turns", "Last"], rows)


def _good(screen: "Screen", why: str) -> None:
    _rate(screen, 1, why)


def _bad(screen: "Screen", why: str) -> None:
    _rate(screen, -1, why)


def _rate(screen: "Screen", rating: int, why: str) -> None:
    from mnemon.agent.lessons import last_exchange

    reply, _ = last_exchange(screen.assistant.person, screen.thread)
    if reply is None:
        note("There is no reply to rate yet.")
        return
    screen.assistant.person.rate(reply.id, rating, why=why or None)
    note("Noted: you liked that reply." if rating > 0 else "Noted: you did not like that reply.")


def _help(screen: "Screen", _: str) -> None:  # noqa: ARG001  as every command
    _listed(["Command", "What it does"], HELP)


def _listed(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; on a screen too narrow for one, each row as a line of its short cells over its text."""
    if not sys.stdout.isatty() or console().width >= 60:
        print_table(columns, [[clean(str(cell)) for cell in row] for row in rows])
        return
    from rich.padding import Padding
    from rich.text import Text

    for row in rows:
        longest = max(row, key=lambda cell: len(str(cell)))
        short = " · ".join(str(cell) for cell in row if cell is not longest and str(cell))
        console().print(Text(clean(short), style="dim"))
        console().print(Padding(Text(clean(str(longest))), (0, 0, 0, 2)))


COMMANDS = {
    "why": Command("/why", "memories, traits and steering of the last reply", _why),
    "trace": Command("/trace [all]", "its tokens, shaded by how far steering moved them", _trace),
    "good": Command("/good [why]", "the last reply was good", _good),
    "bad": Command("/bad [why]", "the last reply was not", _bad),
    "memories": Command("/memories [words]", "what was said, the newest or by words", _memories),
    "facts": Command("/facts [words]", "what is known about you", _facts),
    "profile": Command("/profile", "who you are, by what you said", _profile),
    "forget": Command(
        "/forget words", "forget what holds these words, and all that was derived from it", _forget
    ),
    "undo": Command("/undo", "take back the last write", _undo),
    "persona": Command(
        "/persona [trait weight]",
        "how you like to be answered; concise 0.8 sets it, concise off drops it",
        _persona,
    ),
    "lambda": Command("/lambda [number]", "how hard replies are steered; 0 is not at all", _lambda),
    "thread": Command("/thread [name]", "show or change the conversation", _thread),
    "help": Command("/help", "this list", _help),
}
HELP = (
    *((one.usage, one.about) for one in COMMANDS.values()),
    ("/quit", "leave (Ctrl-D does too); Ctrl-C stops a reply and keeps what was said"),
    ("Alt-Enter", "a new line; a backslash before Enter does the same"),
)
