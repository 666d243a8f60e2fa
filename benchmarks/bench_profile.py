"""What keeping a profile costs: a refresh after one session of twenty turns, beside making it anew.

    python benchmarks/bench_profile.py [--quick]

The history is of sessions of twenty turns that state things; the refresh is of a new process, so it reads its
state from the database. Promised: under 100 ms without a model, however long the history. Processor time,
so that what else the machine does is not measured; wall time is beside it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mnemon import Memory
from mnemon.memory import Person

START = datetime(2023, 1, 1, tzinfo=UTC)
TURNS = 20
REPEATS = 5
LIMIT = 100.0  # milliseconds
SAID = (
    "I love {thing} number {n}.",
    "Thanks, that was very helpful, I will try it tomorrow.",
    "I prefer {thing} to anything else in week {n}.",
    "Can you tell me how that works in a little more detail?",
    "Keep it short, please.",
    "I am planning a trip with my sister in the summer.",
    "What would you do about the {thing}?",
    "I hate {thing} on Mondays, number {n}.",
)
THINGS = ("tea", "jazz", "chess", "running", "opera", "pasta", "hiking", "painting")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a shorter history")
    args = parser.parse_args()
    sizes = (10, 50) if args.quick else (10, 100, 500)
    heads = ("sessions before", "statements", "refresh, ms", "wall, ms", "limit", "anew, ms", "ratio")
    print(" ".join(f"{head:>15}" for head in heads))
    for sessions in sizes:
        refresh, wall, anew, statements = measured(sessions)
        row = (
            sessions,
            statements,
            f"{refresh:.1f}",
            f"{wall:.1f}",
            f"{LIMIT:.0f}",
            f"{anew:.1f}",
            f"{anew / refresh:.1f}",
        )
        print(" ".join(f"{cell:>15}" for cell in row))


def measured(sessions: int) -> tuple[float, float, float, int]:
    """Median milliseconds of a refresh, its wall time, a profile made from everything, and its statements."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.db"
        with Memory.open(path, embedder=None) as memory:
            ana = memory.for_user("ana")
            for number in range(sessions):
                say(ana, number)
            ana.refresh_profile()
        times = []
        for number in range(sessions, sessions + REPEATS):
            with Memory.open(path, embedder=None) as memory:
                ana = memory.for_user("ana")
                say(ana, number)
                times.append(timed(ana.refresh_profile))
        with Memory.open(path, embedder=None) as memory:
            ana = memory.for_user("ana")
            ana.keep_derived("profile", None)
            anew, _ = timed(ana.profile)
            count = len(ana.profile().statements)
    refresh, wall = (statistics.median(column) for column in zip(*times, strict=True))
    return refresh, wall, anew, count


def say(person: Person, session: int) -> None:
    turns = [
        {
            "role": "user",
            "content": SAID[place % len(SAID)].format(
                thing=THINGS[(session + place) % len(THINGS)], n=session
            ),
            "time": (START + timedelta(days=session, minutes=place)).isoformat(),
        }
        for place in range(TURNS)
    ]
    person.remember(turns, session=f"s{session}")


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock."""
    begun, wall = time.process_time(), time.perf_counter()
    action()
    return 1000 * (time.process_time() - begun), 1000 * (time.perf_counter() - wall)


if __name__ == "__main__":
    main()
