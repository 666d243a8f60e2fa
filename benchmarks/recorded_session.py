"""Two processes, a day apart by the clock, with the default model: what `mnemon chat` shows.

    python benchmarks/recorded_session.py > session.txt

The assistant is wired from its parts, so that each process can be given the hour at which it takes place; all
else is the chat screen with its usual settings. Greedy replies: the same weights on the same machine give
the same text.
"""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mnemon.agent import Assistant, LocalChatModel, ReplyOptions
from mnemon.cli.chat_screen import Screen
from mnemon.front import Memory

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAYS = (
    (
        "My sister is called Ana.",
        "No, my sister is called Ines.",
        "Ines lives in Porto.",
        "I am allergic to peanuts.",
        "My locker code is 4711.",
        "Please don't remember that.",
        "Tell me about the moon.",
        "Shorter, please.",
    ),
    (
        "What is my sister called?",
        "/why",
        "What am I allergic to?",
        "What is my locker code?",
        "Tell me about the moon.",
        "/why",
        "That was great!",
        "/facts",
        "/persona",
        "/forget peanuts",
        "What am I allergic to?",
    ),
)


class Clock:
    """A minute passes with every message."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def agree(question: str) -> bool:
    print(f"{question} [y/N] y", flush=True)
    return True


def play(db: str, day: int) -> None:
    clock = Clock(BEGAN + timedelta(days=day))
    with Memory.open(db, clock=clock) as memory:
        options = ReplyOptions(max_tokens=100)
        assistant = Assistant(memory.for_user("sam"), LocalChatModel.open(), options=options, clock=clock)
        screen = Screen(assistant, thread=f"day {day + 1}", agree=agree)
        for line in DAYS[day]:
            print(f"you > {line}", flush=True)
            screen.take(line)
            print(flush=True)
            clock.now += timedelta(minutes=1)
        assistant.person.consolidate()


def main() -> None:
    if len(sys.argv) == 3:
        play(sys.argv[1], int(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder, "people.db"))
        for day in range(len(DAYS)):
            print(f"--- {BEGAN + timedelta(days=day):%A, %d %B %Y}, process {day + 1}\n", flush=True)
            done = subprocess.run(
                [sys.executable, __file__, db, str(day)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
            print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    main()
