"""Nearest vectors by pgvector's graph under filters: how many of the truly nearest it finds, and how fast.

    python benchmarks/bench_pgvector.py [--quick] [--vectors 100000] [--postgres postgresql://...]

Vectors of the default embedder's size in 300 clusters, as those of texts lie; questions near some of them.
Beside: comparing with all, in this process. A filter is a set of ids drawn at random, as the seam gives it.
"""

import argparse

import numpy as np
from bench_stores import servers
from common import DIMENSION, seconds, table, vectors

from mnemon.retrievers import ExactIndex
from mnemon.retrievers.pgvector_index import PgVectorIndex

SHARES = (1.0, 0.3, 0.02, 0.001)
ASKED = 100
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--postgres", metavar="URL")
    options = parser.parse_args()
    count = 5_000 if options.quick else options.vectors
    held, random = vectors(count), np.random.default_rng(11)
    near = held[random.integers(0, count, ASKED)]
    asked = near + 0.3 / DIMENSION**0.5 * random.standard_normal(near.shape, dtype=np.float32)
    ids = [f"v{number}" for number in range(count)]
    with servers(options.postgres) as new_database:
        graph, exact = PgVectorIndex(DIMENSION, url=new_database()), ExactIndex(DIMENSION)
        exact.add(ids, held)
        first = count * 99 // 100
        took = seconds(lambda: graph.add(ids[:first], held[:first]))
        more = seconds(lambda: graph.add(ids[first:], held[first:]))
        rows = [compare(graph, exact, ids, asked, share, random) for share in SHARES]
        size = graph.bytes()
        graph.close()
    title = (
        f"pgvector, {count:,} vectors: {first:,} at once in {took:.0f} s, "
        f"{count - first:,} more in {more:.1f} s, {size / count:,.0f} bytes each"
    )
    table(title, ("filter", f"recall@{K}", "worst", "p50 ms", "p95 ms", "all, p50 ms"), rows)


def compare(
    graph: PgVectorIndex,
    exact: ExactIndex,
    ids: list[str],
    asked: np.ndarray,
    share: float,
    random: np.random.Generator,
) -> tuple[object, ...]:
    allowed = None if share == 1 else set(random.choice(ids, max(K, int(share * len(ids))), replace=False))
    kept, took, beside = [], [], []
    for query in asked:
        found, best = [], []
        took.append(
            1000 * seconds(lambda query=query, into=found: into.extend(graph.search(query, K, allowed)))
        )
        beside.append(
            1000 * seconds(lambda query=query, into=best: into.extend(exact.search(query, K, allowed)))
        )
        kept.append(len({hit.id for hit in found} & {hit.id for hit in best}) / K)
    return (
        f"{share:.1%}",
        f"{np.mean(kept):.3f}",
        f"{min(kept):.1f}",
        *(float(np.percentile(took, at)) for at in (50, 95)),
        float(np.percentile(beside, 50)),
    )


if __name__ == "__main__":
    main()
