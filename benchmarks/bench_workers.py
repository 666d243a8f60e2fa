"""What more workers bring: replies and recalls a second of 1, 2 and 4 processes on one Postgres, beside one.

    python benchmarks/bench_workers.py [--quick] [--postgres URL]

The scripted model costs nothing, so that the turn is measured: recall, the graph, the write. Clients run in a
process of their own and Postgres in another, on the same cores: a ratio says how far these cores go round.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from bench_server import QUESTION, WORDS
from bench_stores import servers
from common import table
from fastapi import FastAPI

from mnemon.agent.server import Door, TokenFile, create_app, serve_many
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel

CLIENTS = 16
TOLD = ("My sister Ines lives in Porto.", "I work as a nurse.")
COLUMNS = [
    "workers",
    "replies/s",
    "p50 ms",
    "p95 ms",
    "recalls/s",
    "p50 ms",
    "p95 ms",
    "replies / one worker",
]


@contextmanager
def application(db: str, number: int) -> Iterator[FastAPI]:
    with Memory.open(db, embedder=HashEmbedder(), embed="later") as memory:
        model = ScriptedChatModel(lambda _messages, _options: " ".join(WORDS))
        door = Door(tokens=TokenFile(Path(tempfile.gettempdir()) / "mnemon-bench-no-tokens.json"))
        yield create_app(memory, model, door=door, worker=number)


def serve(db: str, workers: int) -> None:
    ready = partial(print, flush=True)
    serve_many(partial(application, db), workers=workers, host="127.0.0.1", port=0, ready=ready)


@contextmanager
def served(db: str, workers: int) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", db, str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def clients(url: str, what: str, seconds: float) -> dict[str, float]:
    program = str(Path(__file__).with_name("bench_server.py"))
    arguments = [url, QUESTION, str(CLIENTS), str(seconds), "256"]
    command = [sys.executable, program, what, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(db: str, workers: int, seconds: float) -> list[float]:
    print(f"{workers} workers", file=sys.stderr, flush=True)
    with served(db, workers) as url:
        for number in range(CLIENTS):
            person = {"user": f"p{number}"}
            turns = [{"role": "user", "content": text} for text in TOLD]
            said = {"said": turns, "session": "before"}
            httpx.post(f"{url}/api/remember", params=person, json=said, timeout=30).raise_for_status()
        replies = clients(url, "--clients", seconds)
        recalls = clients(url, "--recalls", seconds)
    return [
        workers,
        replies["replies"],
        replies["p50"],
        replies["p95"],
        recalls["replies"],
        recalls["p50"],
        recalls["p95"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    parser.add_argument("--postgres", help="a server that is there; without it one is started")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    with servers(options.postgres) as new_database:
        rows = [
            measured(new_database(), workers, 2.0 if options.quick else 8.0)
            for workers in ((1, 2) if options.quick else (1, 2, 4))
        ]
    title = f"{CLIENTS} clients that ask again as soon as they are answered; replies of {len(WORDS)} pieces"
    table(title, COLUMNS, [[*row, row[1] / rows[0][1]] for row in rows])


if __name__ == "__main__":
    main()
