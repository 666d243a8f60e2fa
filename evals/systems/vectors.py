"""Dense floors and peers. All get vectors from the same embedder object; none embeds by itself."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemon.errors import MissingExtra
from mnemon.evals.systems.base import TextIndex
from mnemon.evals.systems.lexical import StemmedBM25
from mnemon.retrievers import Embedder

RRF_K = 60  # Cormack, Clarke and Büttcher 2009
RRF_DEPTH = 200  # how far each list is read


class ExactDense:
    """Cosine over all vectors, in numpy."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._ids: list[str] = []
        self._vectors: list[NDArray[np.float32]] = []

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        self._ids.extend(ids)
        self._vectors.append(self._embedder.embed_texts(texts))  # (len(texts), dimension)

    def search(self, text: str, k: int) -> list[tuple[str, float]]:
        if len(self._vectors) > 1:
            self._vectors = [np.concatenate(self._vectors)]
        scores = self._vectors[0] @ self._embedder.embed_queries([text])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        return [(self._ids[place], float(scores[place])) for place in order]


class ReciprocalRankFusion:
    """Stemmed BM25 and dense, fused by rank: the hybrid that most libraries ship."""

    def __init__(self, embedder: Embedder) -> None:
        self._lanes: tuple[TextIndex, ...] = (StemmedBM25(), ExactDense(embedder))

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        for lane in self._lanes:
            lane.add(ids, texts)

    def search(self, text: str, k: int) -> list[tuple[str, float]]:
        scores: dict[str, float] = {}
        for lane in self._lanes:
            for place, (name, _) in enumerate(lane.search(text, max(k, RRF_DEPTH)), start=1):
                scores[name] = scores.get(name, 0.0) + 1 / (RRF_K + place)
        return sorted(scores.items(), key=lambda pair: -pair[1])[:k]


class RawChroma:
    """A Chroma collection in memory, given our vectors, cosine space."""

    _numbers = count()

    def __init__(self, embedder: Embedder) -> None:
        try:
            import chromadb
            from chromadb.config import Settings
        except ImportError as e:
            raise MissingExtra("chromadb", "chroma", "The system 'chroma'") from e
        self._embedder = embedder
        self._client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
        self._name = (
            f"eval-{os.getpid()}-{next(self._numbers)}"  # ephemeral clients share one process-wide store
        )
        self._collection = self._client.create_collection(
            self._name, metadata={"hnsw:space": "cosine"}, embedding_function=None
        )

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        vectors = self._embedder.embed_texts(texts)
        for start in range(0, len(ids), 5_000):  # Chroma limits a batch
            part = slice(start, start + 5_000)
            self._collection.add(ids=list(ids[part]), documents=list(texts[part]), embeddings=vectors[part])

    def search(self, text: str, k: int) -> list[tuple[str, float]]:
        k = min(k, self._collection.count())
        found = self._collection.query(
            query_embeddings=self._embedder.embed_queries([text]), n_results=k, include=["distances"]
        )
        distances = found["distances"] or [[]]
        return [(name, 1.0 - distance) for name, distance in zip(found["ids"][0], distances[0], strict=True)]

    def close(self) -> None:
        self._client.delete_collection(self._name)


class LangGraphStore:
    """LangGraph's `InMemoryStore` with an index over our embedder: the default of that ecosystem."""

    NAMESPACE = ("eval",)

    def __init__(self, embedder: Embedder) -> None:
        from langgraph.store.memory import InMemoryStore

        self._asking = False

        # Its protocol asks for lists of floats and does not say whether a text is a query.
        def embed(texts: Sequence[str]) -> list[list[float]]:
            vectors = (embedder.embed_queries if self._asking else embedder.embed_texts)(list(texts))
            return [[float(x) for x in vector] for vector in vectors]

        self._store = InMemoryStore(index={"dims": embedder.dimension, "embed": embed, "fields": ["text"]})

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        from langgraph.store.base import PutOp

        # Its index miscounts a batch that holds one text twice, so each batch takes a text once.
        waiting = list(zip(ids, texts, strict=True))
        while waiting:
            once = {text: name for name, text in reversed(waiting)}
            self._store.batch([PutOp(self.NAMESPACE, name, {"text": text}) for text, name in once.items()])
            waiting = [(name, text) for name, text in waiting if once[text] != name]

    def search(self, text: str, k: int) -> list[tuple[str, float]]:
        self._asking = True
        found = self._store.search(self.NAMESPACE, query=text, limit=k)
        self._asking = False
        return [(item.key, float(item.score or 0.0)) for item in found]


class Mem0:
    """Mem0's open-source `Memory` with `infer=False`, local Qdrant, our vectors, no key and no telemetry.

    Its lexical lane wants a model from a hub and switches itself off without it, so offline it is dense only.
    """

    USER = "eval"

    def __init__(self, embedder: Embedder) -> None:
        self._folder = tempfile.mkdtemp(dir=_mem0_home())
        try:
            from mem0 import Memory
        except ImportError as e:
            raise MissingExtra("mem0ai", "mem0", "The system 'mem0'") from e
        # Neither of the two is ever called: infer=False needs no language model, and the embedder is
        # replaced below. Their constructors insist on a key.
        idle = {"provider": "openai", "config": {"api_key": "unused"}}
        store = {
            "path": os.path.join(self._folder, "qdrant"),
            "embedding_model_dims": embedder.dimension,
            "on_disk": False,
        }
        self._memory: Any = Memory.from_config(
            {
                "embedder": idle,
                "llm": idle,
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": os.path.join(self._folder, "history.db"),
            }
        )
        self._memory.embedding_model = _mem0_embedder(embedder)

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        for name, text in zip(ids, texts, strict=True):
            if text.strip():  # an empty message is refused
                message = [{"role": "user", "content": text}]
                self._memory.add(message, user_id=self.USER, metadata={"unit": name}, infer=False)

    def search(self, text: str, k: int) -> list[tuple[str, float]]:
        found = self._memory.search(text, filters={"user_id": self.USER}, top_k=k, threshold=0.0)
        return [(hit["metadata"]["unit"], float(hit["score"])) for hit in found["results"]]

    def close(self) -> None:
        self._memory.close()
        self._memory.vector_store.client.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def _mem0_home() -> str:
    """One folder for the process: the library reads these variables once, when it is first imported."""
    home = tempfile.mkdtemp(prefix="mnemon-mem0-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["MEM0_TELEMETRY"] = "False"
    os.environ["MEM0_DIR"] = home
    return home


def _mem0_embedder(embedder: Embedder) -> Any:
    from mem0.embeddings.base import EmbeddingBase

    class Adapter(EmbeddingBase):  # type: ignore[misc]  # the library is untyped
        def embed(self, text: str, memory_action: str | None = None) -> list[float]:
            kind = embedder.embed_queries if memory_action == "search" else embedder.embed_texts
            return [float(x) for x in kind([text])[0]]

    return Adapter()
