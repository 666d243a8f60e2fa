"""The door to memory: opens a store, wires embedder, retriever and extractor to it, and hands out persons.

Objects are wired, not names; the one string that is read here is the store's address.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from mnemon.errors import ModelError, UsageError
from mnemon.memory.diff import Diff
from mnemon.memory.hygiene import RecallTag
from mnemon.memory.indexing import Deferral, Index, RetrieverFactory, Shelf, StoredEmbedder
from mnemon.memory.inputs import check_user, without_password
from mnemon.memory.moving import Moved, move
from mnemon.memory.person import Person
from mnemon.memory.portrait import Profiler
from mnemon.memory.records import Feedback
from mnemon.memory.seams import Extractor, MemoryStore
from mnemon.memory.sqlite_store import SqliteStore
from mnemon.memory.writing import Consolidate, Integrate
from mnemon.retrievers import Embedder, HistoryRetriever, Query, Retriever, Vectors

if TYPE_CHECKING:
    from mnemon.memory.chores import Chores

PERSONS_AT_HAND = 32  # handles, with their indexes, that stay in memory
LEXICAL_ONLY = "lexical only: no embedder"

Clock = Callable[[], datetime]


class _Default:
    """What stands for "choose for me" where None means "none"."""

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = _Default()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a person's handle is made of."""

    store: MemoryStore
    embedder: Embedder | None
    embed_later: bool
    retriever: RetrieverFactory
    shelf: Shelf | None
    extractor: Extractor | None
    later_extractor: Extractor | None
    integrate: Integrate
    consolidate: Consolidate
    clock: Clock
    profiler: Profiler | None
    also_erase: list[Callable[[str], None]]
    tag: RecallTag
    note: str  # why recall is less than it could be; in every hit's `why`

    @property
    def embedder_name(self) -> str:
        return "none" if self.embedder is None else self.embedder.name


class Memory:
    """Many persons' memories in one store. `Memory.open` makes one with the usual parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._persons: OrderedDict[str, Person] = OrderedDict()
        self._lock = threading.Lock()
        self._background: ThreadPoolExecutor | None = None
        self.chores = self._chores()

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        embedder: Embedder | _Default | None = DEFAULT,
        retriever: RetrieverFactory | None = None,
        extractor: Extractor | _Default | None = DEFAULT,
        later_extractor: Extractor | None = None,
        profiler: Profiler | _Default | None = DEFAULT,
        clock: Clock | None = None,
        also_erase: Sequence[Callable[[str], None]] = (),
        embed: Literal["at once", "later"] = "at once",
    ) -> Self:
        """Open or create. `url` is a path, `sqlite:///path`, ":memory:" or `postgresql://...` (extra
        `postgres`).

        `embedder` is the default small model when its weights are there; otherwise, or with None, recall
        works by words alone and says so in `notes` and in each hit. `retriever` makes a person's retriever
        from an embedder. `extractor` reads facts as turns are written: patterns unless told otherwise, None
        for none. `profiler` makes profiles of persons: `usual_profiler` unless told otherwise. `also_erase`
        is called with the user id when a person is erased, for what others keep elsewhere. `embed`: texts
        that no search has embedded yet are embedded by the one that first needs them, or, "later", by whoever
        does the jobs of a Postgres database (`mnemon work`, servers); until then they are found by words.
        """
        from mnemon.memory.consolidate import consolidate
        from mnemon.memory.reconcile import integrate

        note = ""
        if isinstance(embedder, _Default):
            embedder, note = _default_embedder()
        elif embedder is None:
            note = LEXICAL_ONLY
        if isinstance(extractor, _Default):
            from mnemon.memory.patterns import PatternExtractor

            extractor = PatternExtractor()
        if embed not in ("at once", "later"):
            raise UsageError(f'embed is {embed!r}, expected "at once" or "later"')
        store = open_store(url)
        if embed == "later" and not hasattr(store, "jobs"):
            store.close()
            raise UsageError(
                'embed is "later", but this memory keeps no jobs.', hint="Use a Postgres database."
            )
        return cls(
            Parts(
                store=store,
                embedder=embedder,
                embed_later=embed == "later",
                retriever=retriever or _default_retriever,
                shelf=_HistoryShelf() if retriever is None else None,
                extractor=extractor,
                later_extractor=later_extractor or extractor,
                integrate=integrate,
                consolidate=consolidate,
                clock=clock or _now,
                profiler=cls.usual_profiler() if isinstance(profiler, _Default) else profiler,
                also_erase=list(also_erase),
                tag=RecallTag(),
                note=note,
            )
        )

    @classmethod
    def usual_profiler(cls) -> Profiler | None:
        """Memory knows none; the front door's `mnemon.Memory` does."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is less than it could be, and what to do about it."""
        return (self._parts.note,) if self._parts.note else ()

    @property
    def store(self) -> MemoryStore:
        return self._parts.store

    def for_user(self, user: str) -> Person:
        """The handle to one person's memory. Nothing of anybody else can be reached through it."""
        user = check_user(user)
        with self._lock:
            person = self._persons.get(user)
            if person is None:
                # One for the index, which notes what it embeds and in which order, and one for all else.
                parts = self._parts
                later = self.chores.embedding(user) if self.chores and parts.embed_later else None
                own, other = self._stored_embedder(user, later), self._stored_embedder(user)
                index = Index(parts.store, user, parts.retriever, own, shelf=parts.shelf)
                person = self._persons[user] = Person(user, parts, index, other)
            self._persons.move_to_end(user)
            while len(self._persons) > PERSONS_AT_HAND:
                self._persons.popitem(last=False)
        return person

    def _stored_embedder(self, user: str, later: Deferral | None = None) -> StoredEmbedder | None:
        parts = self._parts
        if parts.embedder is None:
            return None
        return StoredEmbedder(parts.embedder, parts.store, user, clock=parts.clock, later=later)

    @property
    def tag(self) -> RecallTag:
        """Wraps recalled text for a prompt, so that it is known and not written again when it comes back."""
        return self._parts.tag

    def also_erase(self, eraser: Callable[[str], None]) -> None:
        """Call this with the user id, too, when a person is erased: for what is kept elsewhere."""
        self._parts.also_erase.append(eraser)

    def _chores(self) -> "Chores | None":
        """What is put off for any worker to do, where the store keeps jobs."""
        jobs = getattr(self._parts.store, "jobs", None)
        if jobs is None:
            return None
        from mnemon.memory.chores import Chores

        embedder = self._parts.embedder
        return Chores(jobs, self.for_user, embedder="" if embedder is None else embedder.name)

    def consolidate_soon(self, user: str) -> "Future[Diff | None]":
        """Consolidate one person's memory in the background; `close` waits for it. The future holds the diff,
        or the error; where the store keeps jobs, the last diff of the work that was taken (None: another
        worker has it), and a killed process leaves it to the next."""
        work: Callable[[], Diff | None] = self.for_user(user).consolidate
        if self.chores is not None:
            self.chores.ask_to_consolidate(user)
            work = self.chores.do
        with self._lock:
            if self._background is None:
                self._background = ThreadPoolExecutor(1, thread_name_prefix="mnemon-consolidate")
            return self._background.submit(work)

    def users(self) -> list[str]:
        return self._parts.store.users()

    def move_to(
        self,
        other: "Memory",
        *,
        users: Sequence[str] | None = None,
        dry_run: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Moved]:
        """Copy people to another memory and compare both sides by hash; this one is only read. Cut off, it
        goes on where it stopped when called again. `progress` is told the records done and those in all."""
        return move(self.store, other.store, users=users, dry_run=dry_run, progress=progress)

    def close(self) -> None:
        with self._lock:
            background, self._background = self._background, None
        if background is not None:
            background.shutdown(wait=True)
        self._parts.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(url: str | Path) -> MemoryStore:
    """The store at an address."""
    if isinstance(url, Path):
        return SqliteStore(url)
    if not isinstance(url, str) or not url.strip() or "\0" in url:
        raise UsageError(
            f"the address of a memory is {url!r}, expected a path or a URL", hint='Try "people.db".'
        )
    if url == ":memory:":
        return SqliteStore(None)
    scheme, found, rest = url.partition("://")
    if not found or len(scheme) < 2 or not scheme.isalnum():
        return SqliteStore(Path(url).expanduser())
    if scheme == "sqlite":
        # sqlite:///relative.db and sqlite:////absolute.db, as SQLAlchemy writes them; sqlite:// is in memory.
        path = rest.removeprefix("/")
        return SqliteStore(Path(path).expanduser() if path and path != ":memory:" else None)
    if scheme in {"postgresql", "postgres"}:
        from mnemon.memory.postgres_store import PostgresStore

        return PostgresStore(url)
    raise UsageError(
        f"The address {without_password(url)!r} has the unknown scheme {scheme!r}, "
        "expected a path, sqlite:// or postgresql://",
        hint="Use a file: --db people.db",
    )


def _default_embedder() -> tuple[Embedder | None, str]:
    from mnemon.retrievers import SentenceEmbedder

    try:
        return SentenceEmbedder(), ""
    except ModelError:
        return None, f"{LEXICAL_ONLY} (its weights are missing: `mnemon models pull`)"


def _default_retriever(embedder: Embedder | None) -> Retriever:
    return HistoryRetriever(embedder)


class _HistoryShelf:
    """Snapshots of the default retriever, and what it learns of a person."""

    @property
    def code(self) -> str:
        return HistoryRetriever.state_code()

    def dump(self, retriever: Retriever) -> bytes:
        return _history(retriever).state()

    def load(self, state: bytes, retriever: Retriever, vectors: Vectors | None) -> set[str]:
        return _history(retriever).restore(state, vectors)

    def learn(self, retriever: Retriever, feedback: Sequence[Feedback]) -> None:
        history = _history(retriever)
        if history.trunk is not None:
            for one in feedback:
                history.learn_used(Query(text=one.query, time=one.recorded_at), one.good, one.bad)

    def head(self, retriever: Retriever) -> Mapping[str, object] | None:
        return _history(retriever).head_state()

    def take_head(self, retriever: Retriever, state: Mapping[str, object] | None) -> None:
        _history(retriever).take_head(state)


def _history(retriever: Retriever) -> HistoryRetriever:
    assert isinstance(retriever, HistoryRetriever)
    return retriever


def _now() -> datetime:
    return datetime.now(UTC)
