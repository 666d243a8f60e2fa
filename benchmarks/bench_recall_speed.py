"""Recall from a year's turns and from ten years': the default retriever, its lanes and peers, same vectors.

    python benchmarks/bench_recall_speed.py [--quick] [--all-peers]

The query's vector is ready, but for the row that says otherwise: there the default model embeds it. Each
system runs in a process of its own, and memory is what that process grew by until it had answered once. The
last column is a system's p50 in ours. Peers that take minutes to fill are filled with fewer turns, which is
said; `--all-peers` fills all of them with 10,000.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence

from common import (
    TableEmbedder,
    in_child,
    megabytes,
    milliseconds,
    processor_milliseconds,
    questions,
    seconds,
    table,
    turns,
    verdict,
)

from mnemon.retrievers import BM25, DenseLane, Document, FaissIndex, HistoryRetriever, Query, Retriever
from mnemon.retrievers.seams import Embedder, Vectors

K = 10
LATER = "2035-01-01T00:00:00+00:00"


class RealQueries:
    """Stored vectors from the table, the query's from the default model."""

    name = "real queries"

    def __init__(self, rows: int) -> None:
        from mnemon.models import model_path
        from mnemon.retrievers import SentenceEmbedder

        self._table = TableEmbedder(rows)
        self._model = SentenceEmbedder(model_path("all-minilm-l6-v2"))
        self.dimension = self._model.dimension

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._table.embed_texts(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._model.embed_queries(texts)


class Ours:
    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def add(self, documents: Sequence[Document]) -> None:
        self._retriever.add(documents)

    def search(self, text: str, k: int) -> object:
        from datetime import datetime

        return self._retriever.search(Query(text=text, k=k, time=datetime.fromisoformat(LATER)))


class Peer:
    """A system of the evaluators, fed with the same texts."""

    def __init__(self, name: str, embedder: Embedder) -> None:
        from mnemon.evals.systems import lexical, vectors

        makers: dict[str, Callable[[], object]] = {
            "rank_bm25": lexical.OfficialBM25,
            "SQLite FTS5": lexical.SqliteFTS5,
            "reciprocal rank fusion": lambda: vectors.ReciprocalRankFusion(embedder),
            "raw Chroma": lambda: vectors.RawChroma(embedder),
            "LangGraph InMemoryStore": lambda: vectors.LangGraphStore(embedder),
            "Mem0 infer=False": lambda: vectors.Mem0(embedder),
        }
        self._system = makers[name]()

    def add(self, documents: Sequence[Document]) -> None:
        self._system.add([d.id for d in documents], [d.text for d in documents])

    def search(self, text: str, k: int) -> object:
        return self._system.search(text, k)


OURS = ["HistoryRetriever (default)", "BM25 lane", "dense lane, FAISS"]
# A system, and the most turns that it is filled with in a normal run.
PEERS = {
    "SQLite FTS5": 100_000,
    "rank_bm25": 10_000,
    "reciprocal rank fusion": 100_000,
    "raw Chroma": 10_000,
    "LangGraph InMemoryStore": 10_000,
    "Mem0 infer=False": 500,
}


def make(name: str, embedder: Embedder) -> Ours | Peer:
    if name == OURS[0] or name == "HistoryRetriever, query embedded":
        return Ours(HistoryRetriever(embedder))
    if name == OURS[1]:
        return Ours(BM25())
    if name == OURS[2]:
        return Ours(DenseLane(embedder, FaissIndex(embedder.dimension)))
    return Peer(name, embedder)


def one(name: str, count: int) -> None:
    embedder = RealQueries(count) if name.endswith("query embedded") else TableEmbedder(count)
    documents, asked = turns(count), questions(40)
    system = make(name, embedder)
    system.add(documents[:1])  # imports are not what is measured
    system.search(asked[0], K)
    gc.collect()
    before = megabytes()
    build = seconds(lambda: system.add(documents[1:]))
    first = 1000 * seconds(lambda: system.search(asked[0], K))
    gc.collect()
    grown = megabytes() - before
    p50, p95 = milliseconds(lambda text: system.search(text, K), asked[1:])
    busy = processor_milliseconds(lambda text: system.search(text, K), asked[1:])
    numbers = {"build": build, "memory": grown, "first": first, "p50": p50, "p95": p95, "busy": busy}
    print(json.dumps(numbers), flush=True)
    os._exit(0)  # some peers leave threads behind that wait


def run(names: Sequence[str], count: int, most: dict[str, int]) -> dict[str, dict[str, float]]:
    measured = {}
    rows: list[list[object]] = []
    for name in names:
        size = min(count, most.get(name, count))
        numbers = measured[name] = in_child(sys.argv[0], name, str(size))
        label = name if size == count else f"{name} ({size:,} only)"
        memory = numbers["memory"] * 100_000 / size
        rows.append([label, numbers["build"], numbers["first"], numbers["p50"], numbers["p95"]])
        rows[-1] += [numbers["busy"], memory, numbers["p50"] / measured[names[0]]["p50"]]
    columns = ["", "fill s", "first ms", "p50 ms", "p95 ms", "processor ms", "MB per 100k", "x ours"]
    table(f"{count:,} turns, the ten best", columns, rows)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 turns, and no query embedded")
    parser.add_argument("--all-peers", action="store_true", help="fill every peer with 10,000 turns")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], int(arguments.one[1]))
        return
    if arguments.quick:
        run([*OURS, *PEERS], 2_000, {name: min(most, 2_000) for name, most in PEERS.items()})
        return
    fewer = {} if arguments.all_peers else PEERS
    small = run([*OURS, *PEERS, "HistoryRetriever, query embedded"], 10_000, fewer)
    large = run([*OURS, "SQLite FTS5", "reciprocal rank fusion"], 100_000, {})
    print()
    verdict("recall at 10,000, p50", small[OURS[0]]["p50"], 10, "ms")
    verdict("recall at 100,000, p50", large[OURS[0]]["p50"], 40, "ms")
    verdict(
        "recall at 10,000 with the query embedded, p50",
        small["HistoryRetriever, query embedded"]["p50"],
        25,
        "ms",
    )


if __name__ == "__main__":
    main()
