"""Nearest vectors by pgvector, in one table of a Postgres database. Needs the extra `postgres`.

The search walks an HNSW graph and goes on walking until a filter has let through enough; where it still finds
too few, it compares with all. Knows no text and no person.
"""

import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import MissingExtra, StoreError, UsageError, one_line
from mnemon.retrievers.exact_index import unit_rows
from mnemon.retrievers.seams import Neighbour, Vectors

if TYPE_CHECKING:
    import psycopg

SCHEMA = "mnemon_vectors"
LONGEST_IN_A_GRAPH = 2000  # dimensions; longer vectors are compared one by one
BUILT_AT_ONCE = 2000  # vectors into an empty table: the graph is made after them, in memory
SEARCH_BREADTH = 200  # as for Chroma and FAISS: recall before speed
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")


class PgVectorIndex:
    """A `VectorIndex` in the table `mnemon_vectors.<collection>`; it is there again when opened next."""

    abilities: frozenset[str] = frozenset()

    def __init__(self, dimension: int, *, url: str, collection: str = "turns") -> None:
        if dimension < 1:
            raise UsageError(f"An index was given dimension {dimension!r}; expected at least 1.")
        if not _NAME.fullmatch(collection):
            raise UsageError(
                f"The collection is named {collection!r}; expected small letters, digits and underscores."
            )
        self.dimension = dimension
        self._table = f"{SCHEMA}.{collection}"
        self._graph = f"{collection}_near"
        self._lock = threading.RLock()
        self._psycopg, self._register = _driver()
        try:
            self._connection: psycopg.Connection[Any] = self._psycopg.connect(url, autocommit=True)
        except self._psycopg.Error as error:
            raise StoreError(
                f"Postgres cannot be reached: {one_line(error)}.",
                hint="Check that the server runs and that the address, user and password are right.",
            ) from error
        try:
            self._open(collection)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, collection: str) -> None:
        with self._working() as run:
            run.execute("CREATE EXTENSION IF NOT EXISTS vector")
            run.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            run.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} "
                f'(id TEXT COLLATE "C" PRIMARY KEY, embedding vector({self.dimension}) NOT NULL)'.encode()
            )
            self._connect_all(run)
            held = run.execute(
                "SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'",
                [self._table],
            ).fetchone()
        if held is None or held[0] != self.dimension:
            raise UsageError(
                f"The collection {collection!r} holds vectors of dimension {held and held[0]!r}; "
                f"expected {self.dimension}.",
                hint="Give the embedder that filled it, or another collection.",
            )
        self._register(self._connection)

    def __len__(self) -> int:
        with self._working() as run:
            found = run.execute(f"SELECT count(*) FROM {self._table}".encode()).fetchone()
        return 0 if found is None else int(found[0])

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        units = unit_rows(ids, vectors, self.dimension)
        last = {_writable(id_): at for at, id_ in enumerate(ids)}  # of an id named twice, the last counts
        with self._working() as run:
            run.execute(
                f"CREATE TEMP TABLE given (LIKE {self._table} EXCLUDING INDEXES) ON COMMIT DROP".encode()
            )
            with run.cursor().copy("COPY given FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                for id_, at in last.items():
                    copy.write_row((id_, units[at]))
            at_once = len(last) >= BUILT_AT_ONCE and self._is_empty(run)
            if at_once:
                run.execute(f"DROP INDEX IF EXISTS {SCHEMA}.{self._graph}".encode())
            run.execute(
                f"INSERT INTO {self._table} SELECT * FROM given "
                "ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding".encode()
            )
            if at_once:
                megabytes = 64 + 8 * len(last) * self.dimension // 2**20
                run.execute(f"SET LOCAL maintenance_work_mem = '{min(megabytes, 2000)}MB'".encode())
                self._connect_all(run)

    def _connect_all(self, run: "psycopg.Connection[Any]") -> None:
        if self.dimension <= LONGEST_IN_A_GRAPH:
            run.execute(
                f"CREATE INDEX IF NOT EXISTS {self._graph} ON {self._table} "
                "USING hnsw (embedding vector_ip_ops) WITH (ef_construction = 200)".encode()
            )

    def _is_empty(self, run: "psycopg.Connection[Any]") -> bool:
        return run.execute(f"SELECT 1 FROM {self._table} LIMIT 1".encode()).fetchone() is None

    def bytes(self) -> int:
        """On the server's disk, the graph included."""
        with self._working() as run:
            found = run.execute("SELECT pg_total_relation_size(%s::regclass)", [self._table]).fetchone()
        return 0 if found is None else int(found[0])

    def remove(self, ids: Collection[str]) -> None:
        with self._working() as run:
            run.execute(f"DELETE FROM {self._table} WHERE id = ANY(%s)".encode(), [list(map(_writable, ids))])

    def search(
        self, vector: NDArray[np.float32], k: int, allowed: Collection[str] | None = None
    ) -> list[Neighbour]:
        unit = unit_rows(["query"], np.atleast_2d(vector), self.dimension)[0]
        if k <= 0:
            return []
        names = None if allowed is None else list(map(_writable, allowed))
        with self._working() as run:
            # A search of the graph sees no more than its breadth; with a filter it goes on until it has k.
            run.execute(f"SET LOCAL hnsw.ef_search = {min(max(SEARCH_BREADTH, k), 1000)}".encode())
            run.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            found = self._nearest(run, unit, k, names)
            if len(found) < k:
                run.execute("SET LOCAL enable_indexscan = off")
                found = self._nearest(run, unit, k, names)
        return [Neighbour(id_, -float(distance)) for id_, distance in found]

    def _nearest(
        self, run: "psycopg.Connection[Any]", unit: NDArray[np.float32], k: int, names: list[str] | None
    ) -> list[Any]:
        among = "" if names is None else "WHERE id = ANY(%(names)s) "
        # `<#>` is the negative inner product: of unit vectors, the negative cosine.
        statement = (
            f"SELECT id, embedding <#> %(unit)s FROM {self._table} {among}"
            "ORDER BY embedding <#> %(unit)s LIMIT %(k)s"
        )
        return run.execute(statement.encode(), {"unit": unit, "k": k, "names": names}).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _working(self) -> "Iterator[psycopg.Connection[Any]]":
        """The connection, in one transaction."""
        try:
            with self._lock, self._connection.transaction():
                yield self._connection
        except self._psycopg.errors.FeatureNotSupported as error:
            raise StoreError(
                f"This Postgres has no pgvector: {one_line(error)}.",
                hint="Install the extension on the server.",
            ) from error
        except self._psycopg.Error as error:
            raise StoreError(f"Postgres refused: {one_line(error)}.") from error


def _writable(id_: str) -> str:
    if "\0" in id_ or any("\ud800" <= sign <= "\udfff" for sign in id_):
        raise UsageError(f"The id {id_!r} holds what Postgres cannot: NUL or half of a character.")
    return id_


def _driver() -> tuple[Any, Any]:
    try:
        import psycopg
        from pgvector.psycopg import register_vector
    except ImportError as error:
        raise MissingExtra("pgvector", "postgres", "The pgvector index") from error
    return psycopg, register_vector
