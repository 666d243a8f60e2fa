"""One conversation on a screen: takes lines, draws replies, asks before tools act, says what was learnt."""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mnemon.cli import chat_commands
from mnemon.cli.chat_terminal import Picture, drawing, interrupt_calls
from mnemon.cli.output import note, print_json

if TYPE_CHECKING:
    from mnemon.agent import Assistant
    from mnemon.agent.graph import Event
    from mnemon.agent.seams import ToolCall


def _refuse(_question: str) -> bool:
    return False


class Screen:
    """`agree` puts a question to the person; `strength` is the λ that replies are steered with."""

    def __init__(
        self,
        assistant: "Assistant",
        *,
        thread: str = "chat",
        explain: bool = False,
        as_json: bool = False,
        strength: float = 1.0,
        agree: Callable[[str], bool] = _refuse,
    ) -> None:
        self.assistant = assistant
        self.thread = thread
        self.explain = explain
        self.as_json = as_json
        self.strength = strength
        self.agree = agree
        self._noted: set[str] = set()

    def take(self, line: str) -> bool:
        """One line of the person. False: they want to leave."""
        if not line.startswith("/"):
            self.say(line)
            return True
        return chat_commands.run(self, line)

    def say(self, text: str) -> None:
        """Answer one message."""
        if self.as_json:
            print_json(self.assistant.reply(text, thread=self.thread))
        else:
            self._answer(self.assistant.events(text, thread=self.thread))

    def take_up(self) -> None:
        """Offer to go on with a turn of this conversation that was begun and never ended."""
        left = self.assistant.unfinished(thread=self.thread)
        if left is None:
            return
        note(f"Not finished, {left.asked_at:%Y-%m-%d %H:%M}: {left.text}")
        if left.waiting:
            self._go_on(list(left.waiting))
        elif self.agree("Answer it now?"):
            self._answer(self.assistant.resume(thread=self.thread))

    # --- inside

    def _answer(self, events: "Iterable[Event]") -> None:
        from mnemon.errors import MnemonError

        try:
            waiting = self._draw(events)
            if waiting:
                self._go_on(waiting)
        except MnemonError as error:  # one message that cannot be answered does not end the conversation
            if not sys.stdin.isatty():
                raise
            note(f"{error}" + (f"\n{error.hint}" if error.hint else ""))
            return
        if self.explain and not waiting:
            chat_commands.run(self, "/why")

    def _go_on(self, waiting: "list[ToolCall]") -> None:
        approved = [call.id for call in waiting if self.agree(f"Run {_shown(call)}?")]
        self._answer(self.assistant.resume(approve=approved, thread=self.thread))

    def _draw(self, events: "Iterable[Event]") -> "list[ToolCall]":
        """Draws what happens; gives the calls that wait for a yes. Ctrl-C ends the reply where it stands."""
        waiting: list[ToolCall] = []
        remarks: list[str] = []
        with interrupt_calls(self._stop), drawing() as picture:
            self._stopped = False
            picture.doing("understanding")
            for event in events:
                _show(event, picture)
                remarks += _remarks(event)
                waiting += event.get("calls", [])
        if self._stopped:
            note("Stopped; what was said is kept.")
        last = self.assistant.last
        less = [one for one in (last.notes if last is not None else ()) if one not in self._noted]
        self._noted.update(less)
        for remark in (*remarks, *less):
            note(remark)
        return waiting

    def _stop(self) -> None:
        self._stopped = True
        self.assistant.stop()


def _show(event: "Event", picture: Picture) -> None:
    match event["kind"]:
        case "understood":
            picture.doing("recalling")
        case "recalled" | "observed":
            picture.doing("writing")
        case "calling":
            picture.doing(f"calling {event['call'].name}")
        case "piece":
            picture.add(event["text"])


def _remarks(event: "Event") -> list[str]:
    """What deserves a quiet line under the reply."""
    if event["kind"] == "learnt":
        heads = {"forgotten": "Forgotten"}
        return [f"{heads.get(one.kind, 'Noted')}: {one.text}" for one in event["lessons"]]
    if event["kind"] == "observed" and not event["observation"].ok:
        return [f"{event['observation'].call.name}: {event['observation'].text[:200]}"]
    return []


def _shown(call: "ToolCall") -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"{call.name}({arguments})"
