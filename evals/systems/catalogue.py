"""The systems by the names that `mnemon eval --system` takes.

To add one: write a class with `add(ids, texts)` and `search(text, k)` (see `TextIndex`) and give it a line in
`SYSTEMS`, by `_lexical` or, if it is made with an embedder, `_dense`. What does more than rank documents
subclasses `Remembering`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mnemon.errors import UsageError
from mnemon.evals.seams import System
from mnemon.evals.systems.base import DocumentSystem, TextIndex
from mnemon.evals.systems.controls import FullContext, LastTurns, NoMemory
from mnemon.evals.systems.lexical import OfficialBM25, SqliteFTS5, StemmedBM25
from mnemon.evals.systems.mnemon import MemorySystem, RetrieverSystem
from mnemon.evals.systems.vectors import (
    ExactDense,
    LangGraphStore,
    Mem0,
    RawChroma,
    ReciprocalRankFusion,
)
from mnemon.memory import Memory
from mnemon.retrievers import Embedder, HistoryRetriever, Vectors


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """What systems are built with. The embedder is opened once and only by a system that needs one."""

    embedder: Callable[[], Embedder | None]

    def needed_embedder(self, system: str) -> Embedder:
        embedder = self.embedder()
        if embedder is None:
            raise UsageError(f"the system {system!r} needs an embedder.", hint="Leave --embedder none away.")
        return embedder


class TextsCached:
    """An embedder that keeps vectors of stored texts on disk. Queries are always computed: they are timed."""

    def __init__(self, embedder: Embedder, cached: Embedder) -> None:
        self._embedder = embedder
        self._cached = cached

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._cached.embed_texts(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_queries(texts)


@dataclass(frozen=True)
class Entry:
    about: str
    open: Callable[[Equipment], System]
    extra: str = ""  # the optional dependency it needs


def _lexical(name: str, make: Callable[[], TextIndex]) -> Callable[[Equipment], System]:
    return lambda equipment: DocumentSystem(name, make)  # noqa: ARG005  needs nothing


def _dense(name: str, make: Callable[[Embedder], TextIndex]) -> Callable[[Equipment], System]:
    def open_dense(equipment: Equipment) -> System:
        embedder = equipment.needed_embedder(name)
        return DocumentSystem(name, lambda: make(embedder), about={"embedder": embedder.name})

    return open_dense


def _mnemon(equipment: Equipment) -> System:
    embedder = equipment.embedder()
    about = {"embedder": embedder.name if embedder else None, "extractor": "patterns"}
    return MemorySystem(
        "mnemon", lambda clock: Memory.open(":memory:", embedder=embedder, clock=clock), about=about
    )


def _mnemon_retriever(equipment: Equipment) -> System:
    embedder = equipment.embedder()
    about = {"embedder": embedder.name if embedder else None}
    return RetrieverSystem("mnemon-retriever", lambda: HistoryRetriever(embedder), about=about)


SYSTEMS: dict[str, Entry] = {
    "mnemon": Entry("mnemon's memory as it is used; --embedder none for words alone", _mnemon),
    "mnemon-retriever": Entry("its retriever alone, without store and facts", _mnemon_retriever),
    "no-memory": Entry("the model alone (qa, mcq)", lambda _: NoMemory()),
    "full-context": Entry("the whole history in the prompt, newest kept (qa, mcq)", lambda _: FullContext()),
    "last-k": Entry("the newest turns", lambda _: LastTurns()),
    "bm25": Entry("stemmed BM25, mnemon's lexical lane alone", _lexical("bm25", StemmedBM25)),
    "rank-bm25": Entry(
        'BM25Okapi on split(" "), as the official scripts', _lexical("rank-bm25", OfficialBM25)
    ),
    "fts5": Entry("SQLite FTS5, porter tokenizer", _lexical("fts5", SqliteFTS5)),
    "dense": Entry("exact cosine over one embedder", _dense("dense", ExactDense)),
    "rrf": Entry("stemmed BM25 and dense, reciprocal rank fusion", _dense("rrf", ReciprocalRankFusion)),
    "langgraph": Entry("LangGraph InMemoryStore with an index", _dense("langgraph", LangGraphStore)),
    "chroma": Entry("raw Chroma collection", _dense("chroma", RawChroma), "chroma"),
    "mem0": Entry("Mem0, infer=False, local Qdrant", _dense("mem0", Mem0), "mem0"),
}


# What stands beside mnemon when it is compared with what one might take instead.
PEERS = ("mnemon", "rrf", "dense", "bm25", "fts5", "rank-bm25", "chroma", "langgraph", "mem0")


def named_systems(names: Sequence[str]) -> list[str]:
    """Each once, in order; "peers" is all of `PEERS`."""
    found = list(dict.fromkeys(one for name in names for one in (PEERS if name == "peers" else (name,))))
    for name in found:
        if name not in SYSTEMS:
            raise UsageError(
                f"no system is named {name!r}.", hint=f"Systems: {', '.join(SYSTEMS)}; or peers."
            )
    return found


def open_system(name: str, equipment: Equipment) -> System:
    return SYSTEMS[named_systems([name])[0]].open(equipment)
