"""The vector indexes beside each other: building, asking, filtering, how many of the ten nearest are found.

python benchmarks/bench_vectors.py [--quick] [--vectors 1000000]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import DIMENSION, in_child, megabytes, milliseconds, seconds, table, vectors

from mnemon.retrievers import ChromaIndex, ExactIndex, FaissIndex

KINDS = {
    "numpy exact": lambda: ExactIndex(DIMENSION),
    "FAISS exact": lambda: FaissIndex(DIMENSION, exact_up_to=10**9),
    "FAISS lists": lambda: FaissIndex(DIMENSION, exact_up_to=1000),
    "Chroma": lambda: ChromaIndex(DIMENSION),
}
ASKED = 50


def one(kind: str, count: int) -> None:
    held = vectors(count)
    asked = {str(at): vector for at, vector in enumerate(vectors(ASKED, seed=9))}
    truth = {name: set(np.argsort(-(held @ vector))[:10].tolist()) for name, vector in asked.items()}
    index = KINDS[kind]()
    index.search(held[0], 1)
    before = megabytes()
    build = seconds(lambda: index.add([str(at) for at in range(count)], held))
    grown = megabytes() - before
    p50, p95 = milliseconds(lambda name: index.search(asked[name], 10), list(asked))
    found = [len({int(hit.id) for hit in index.search(v, 10)} & truth[name]) for name, v in asked.items()]
    allowed = [str(at) for at in range(0, count, 100)]
    filtered, _ = milliseconds(lambda name: index.search(asked[name], 10, allowed), list(asked))
    add_one, _ = milliseconds(lambda name: index.add([f"new{name}"], asked[name][None]), list(asked))
    numbers = {"build": build, "p50": p50, "p95": p95, "filtered": filtered, "add": add_one}
    print(json.dumps({**numbers, "recall": float(np.mean(found)) / 10, "memory": grown}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 vectors instead of 20,000")
    parser.add_argument("--vectors", type=int, default=20_000, help="above 100,000 without Chroma")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], int(arguments.one[1]))
        return
    count = 5_000 if arguments.quick else arguments.vectors
    kinds = [kind for kind in KINDS if kind != "Chroma" or count <= 100_000]
    measured = {kind: in_child(sys.argv[0], kind, str(count)) for kind in kinds}
    columns = ["build", "p50", "p95", "filtered", "add", "recall", "memory"]
    table(
        f"{count:,} vectors of {DIMENSION} dimensions",
        ["", "build s", "ask p50 ms", "p95 ms", "1% allowed ms", "add one ms", "recall@10", "memory MB"],
        [[kind, *(numbers[column] for column in columns)] for kind, numbers in measured.items()],
    )
    exact, lists = measured["numpy exact"], measured["FAISS lists"]
    print(
        f"ratio: FAISS's lists answer in {lists['p50'] / exact['p50']:.2f} of the time that comparing with"
        f" all takes, and find {lists['recall']:.0%} of the ten nearest"
    )
    with tempfile.TemporaryDirectory() as folder:
        index = FaissIndex(DIMENSION)
        index.add([str(at) for at in range(count)], vectors(count))
        path = Path(folder) / "vectors"
        saved, opened = seconds(lambda: index.save(path)), seconds(lambda: FaissIndex.open(path))
        print(f"FAISS save {saved:.2f} s, open {opened:.2f} s")


if __name__ == "__main__":
    main()
