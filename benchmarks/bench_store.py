"""The LangGraph store beside LangGraph's own: putting, getting, searching by words and vectors, filtering.

    python benchmarks/bench_store.py [--quick] [--items 5000]

Vectors are drawn, so that no model is measured. `InMemoryStore` keeps nothing and finds by vectors alone;
`SqliteStore` keeps on disk as ours does (same journal mode and durability), and finds nothing here.
"""

import argparse
import sqlite3
import tempfile
from pathlib import Path

from common import DIMENSION, TableEmbedder, milliseconds, questions, seconds, table, turns, verdict
from langgraph.store.base import BaseStore, PutOp
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from mnemon.agent.store import MnemonStore
from mnemon.memory import Memory

SPACE = ("notes", "travel")
AT_ONCE = 500


def measure(name: str, store: BaseStore, texts: list[str], asked: list[str]) -> list[object]:
    numbers = iter(range(10**9))
    one = milliseconds(lambda text: store.put(SPACE, f"one {next(numbers)}", {"text": text}), texts[:200])

    def put_all() -> None:
        for start in range(0, len(texts), AT_ONCE):
            batch = [PutOp(SPACE, f"{start + n}", {"text": t}) for n, t in enumerate(texts[start:][:AT_ONCE])]
            store.batch(batch)

    bulk = seconds(put_all)
    first = seconds(lambda: store.search(SPACE, query=asked[0]))
    search = milliseconds(lambda text: store.search(SPACE, query=text), asked)
    get = milliseconds(lambda text: store.get(SPACE, str(len(text))), texts[:200])
    kept = milliseconds(lambda text: store.search(SPACE, filter={"text": {"$ne": text}}), texts[:50])
    return [name, one[0], bulk, first, search[0], search[1], get[0], kept[0]]


def on_disk(path: Path) -> SqliteStore:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    store = SqliteStore(connection)
    store.setup()
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="1,000 items")
    parser.add_argument("--items", type=int, default=5_000)
    options = parser.parse_args()
    count = 1_000 if options.quick else options.items
    texts, asked = [one.text for one in turns(count)], questions(50)
    drawn = TableEmbedder(count + 1_000)
    peer = InMemoryStore(
        index={"dims": DIMENSION, "embed": lambda some: drawn.embed_texts(some).tolist(), "fields": ["text"]}
    )
    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as folder:
        with Memory.open(Path(folder) / "people.db", embedder=TableEmbedder(count + 1_000)) as memory:
            ours = measure("mnemon", MnemonStore(memory, user="ana"), texts, asked)
        rows = [
            ours,
            measure("langgraph InMemoryStore", peer, texts, asked),
            measure("langgraph SqliteStore, no index", on_disk(Path(folder) / "peer.db"), texts, asked),
        ]
    columns = ["", "put ms", "put all s", "first search s", "search p50 ms", "p95 ms", "get ms", "filter ms"]
    table(f"{count} items of one namespace", columns, rows)
    verdict("search, median", float(str(ours[4])), 50, "ms")


if __name__ == "__main__":
    main()
