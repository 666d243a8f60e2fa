"""An assistant with tools of your own: python examples/tools.py ana

One tool only looks something up; the other acts on the world, so the person is asked first.
"""

import sys
from collections.abc import Callable, Iterable
from datetime import datetime

from mnemon.agent import Assistant, Tool


def time_in(zone: str) -> str:
    """Tells the time in a time zone such as Europe/Lisbon."""
    from zoneinfo import ZoneInfo

    return f"{datetime.now(ZoneInfo(zone)):%A, %H:%M}"


def note_down(text: str) -> str:
    """Writes a line into the file notes.txt."""
    with open("notes.txt", "a", encoding="utf-8") as notes:
        notes.write(text + "\n")
    return "Written."


TOOLS = (time_in, Tool.of(note_down, acts=True))


def chat(assistant: Assistant, messages: Iterable[str], agrees: Callable[[str], bool]) -> None:
    for message in messages:
        for _ in assistant.events(message):
            pass
        while assistant.last is not None and assistant.last.waiting:  # a tool wants to act
            wishes = ", ".join(f"{call.name} {dict(call.arguments)}" for call in assistant.last.waiting)
            for _ in assistant.resume(approve=agrees(wishes)):
                pass
        print(assistant.last.text if assistant.last else "")


if __name__ == "__main__":
    with Assistant.open("people.db", user=sys.argv[1], tools=TOOLS) as opened:
        chat(opened, sys.stdin, lambda wishes: input(f"May I {wishes}? [y/n] ").startswith("y"))
