"""Vectors of texts that were embedded before, by model name and content.

A cache is two methods, so that a store can be one with the table of vectors that it keeps anyway. Vectors of
two models never meet: the model's name is part of every key. Knows no index.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import StoreError, UsageError
from mnemon.retrievers.seams import Embedder, Vectors
from mnemon.sqlite_log import use_log

Vector = NDArray[np.float32]  # (dimension,)

BUSY_SECONDS = 30.0
_ASK_AT_ONCE = 500  # keys in one statement; SQLite allows 999 variables where it is old


class EmbeddingCache(Protocol):
    """Vectors by model and key. Unknown keys are missing from the answer; putting again replaces."""

    def get(self, model: str, keys: Sequence[str]) -> Mapping[str, Vector]: ...

    def put(self, model: str, vectors: Mapping[str, Vector]) -> None: ...


def content_key(text: str, *, query: bool = False) -> str:
    """What a text is cached under. Queries are kept apart: a model may embed them under a prompt."""
    return sha256(("q:" if query else "t:").encode() + text.encode("utf-8", "surrogatepass")).hexdigest()


class CachedEmbedder:
    """An `Embedder` that asks another only for what the cache does not hold."""

    def __init__(self, embedder: Embedder, cache: EmbeddingCache) -> None:
        self._embedder = embedder
        self._cache = cache

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, query=False)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, query=True)

    def _embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        embed = self._embedder.embed_queries if query else self._embedder.embed_texts
        if isinstance(texts, str):
            raise UsageError(f"embed was given one string, {texts[:40]!r}; expected a list of strings.")
        keys = [content_key(text, query=query) for text in texts]
        known = dict(self._cache.get(self.name, list(dict.fromkeys(keys))))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            fresh = dict(zip(missing, embed(list(missing.values())), strict=True))
            self._cache.put(self.name, fresh)
            known.update(fresh)
        if not keys:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.stack([known[key] for key in keys])


class MemoryCache:
    """An `EmbeddingCache` that ends with the process. Thread-safe."""

    def __init__(self) -> None:
        self._vectors: dict[tuple[str, str], Vector] = {}

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Vector]:
        found = ((key, self._vectors.get((model, key))) for key in keys)
        return {key: vector for key, vector in found if vector is not None}

    def put(self, model: str, vectors: Mapping[str, Vector]) -> None:
        # Copies: a row of a matrix would keep the whole matrix.
        self._vectors.update({(model, key): _own(vector) for key, vector in vectors.items()})


class SqliteCache:
    """An `EmbeddingCache` in one file, for many threads and processes."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
            use_log(self._connection, seconds=BUSY_SECONDS)
            with self._connection:
                self._connection.execute("PRAGMA synchronous=NORMAL")  # derived: the last commit may be lost
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (model TEXT NOT NULL, key TEXT NOT NULL,"
                    " vector BLOB NOT NULL, PRIMARY KEY (model, key)) WITHOUT ROWID"
                )
        except (OSError, sqlite3.Error) as error:
            raise self._failure("cannot be opened", error) from error

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        try:
            with self._lock:
                for at in range(0, len(keys), _ASK_AT_ONCE):
                    part = keys[at : at + _ASK_AT_ONCE]
                    marks = ",".join("?" * len(part))
                    rows = self._connection.execute(
                        f"SELECT key, vector FROM vectors WHERE model = ? AND key IN ({marks})",
                        (model, *part),
                    )
                    found.update((key, np.frombuffer(blob, dtype="<f4")) for key, blob in rows)
        except sqlite3.Error as error:
            raise self._failure("cannot be read", error) from error
        return found

    def put(self, model: str, vectors: Mapping[str, Vector]) -> None:
        rows = [(model, key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with self._lock, self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._failure("cannot be written", error) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _failure(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            f"The embedding cache {str(self._path)!r} {what}: {error}",
            hint="It is derived data: remove the file, and it is made again.",
        )


def _own(vector: Vector) -> Vector:
    kept = np.array(vector, dtype=np.float32)
    kept.flags.writeable = False
    return kept
