"""One person's retriever, kept level with the store before every search: what was just said is found at once,
whichever process wrote it. Embeddings are looked up in the store by the hash of their text and computed only
when missing.

Knows a `Retriever` and an `Embedder` by their protocols; knows no facts' meaning.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import numpy as np

from mnemon.errors import DataError
from mnemon.memory.records import Episode, Fact, Feedback, Record, RecordKind, Session, reference
from mnemon.memory.seams import (
    BlobNamed,
    ChangedAfter,
    Head,
    HeadOf,
    KeepBlob,
    KeepVectors,
    MemoryStore,
    Select,
    VectorsOf,
)
from mnemon.memory.sql_vectors import half
from mnemon.retrievers import Document, Embedder, Query, Ranked, Retriever, Vectors

RetrieverFactory = Callable[[Embedder | None], Retriever]

Uses = Mapping[str, tuple[int, datetime]]  # id → how often answers used it, and when last

_KINDS: tuple[RecordKind, ...] = ("episode", "session", "fact", "feedback")
MOST_LESSONS = 500  # pieces of feedback learnt from at once, the newest
SNAPSHOT_FROM = 2000  # documents; fewer are indexed again in a moment
EMBED_AT_ONCE = 1024  # texts computed between two writes: an interrupted run keeps what it has
FEW = 16  # texts that a search embeds itself, where more are left to a worker
_RECALLED_ROLES = frozenset({"user", "assistant"})  # what a tool printed is kept, not recalled


def text_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Deferral(Protocol):
    """Embedding of one person's texts that a worker does later."""

    def ask(self) -> None: ...

    def waits(self) -> bool: ...


class StoredEmbedder:
    """An `Embedder` that remembers its texts' vectors in the store, under the model's name. With `later`,
    more than a few that are missing are left to a worker: they are zeros until then, and `lacks` says so."""

    def __init__(
        self,
        embedder: Embedder,
        store: MemoryStore,
        user: str,
        *,
        clock: Callable[[], datetime],
        later: Deferral | None = None,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._user = user
        self._clock = clock
        self._later = later
        self._loaded: tuple[dict[bytes, int], Vectors] | None = None
        self.lacks = False
        self.order: list[bytes] = []  # hashes of all texts embedded since `begin`, in order

    def begin(self) -> None:
        self.order = []
        self.lacks = False

    def expect(self, count: int) -> None:
        if self._later is not None and count > FEW:
            self._later.ask()

    def could_have_more(self) -> bool:
        """Whether what was left to a worker is done."""
        return self.lacks and not (self._later is not None and self._later.waits())

    def stored(self, hashes: Sequence[bytes]) -> Vectors | None:
        """The vectors of these texts as they are stored; None if one is missing."""
        found, vectors = self._store.read(self._user, VectorsOf(self.name))
        if found == list(hashes):
            return vectors if found else None
        place = {name: number for number, name in enumerate(found)}
        try:
            return vectors[[place[name] for name in hashes]] if hashes else None
        except KeyError:
            return None

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def load(self) -> None:
        """Hold all stored vectors until `release`: for building an index at once."""
        hashes, vectors = self._store.read(self._user, VectorsOf(self.name))
        self._loaded = {found: place for place, found in enumerate(hashes)}, vectors

    def release(self) -> None:
        self._loaded = None

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_queries([_speakable(text) for text in texts])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        hashes = [text_hash(text) for text in texts]
        self.order += hashes
        epoch = self._store.read(self._user, HeadOf()).epoch
        known, vectors = self._known(hashes)
        places = [known.get(found, -1) for found in hashes]
        have = [row for row, place in enumerate(places) if place >= 0]
        if have:
            result[have] = vectors[[places[row] for row in have]]
        missing: dict[bytes, list[int]] = {}
        for row, place in enumerate(places):
            if place < 0:
                missing.setdefault(hashes[row], []).append(row)
        todo = list(missing.items())
        if self._later is not None and len(todo) > FEW:
            self._later.ask()
            self.lacks, todo = True, []
        for start in range(0, len(todo), EMBED_AT_ONCE):
            some = todo[start : start + EMBED_AT_ONCE]
            computed = half(self._embedder.embed_texts([_speakable(texts[rows[0]]) for _, rows in some]))
            keep = KeepVectors(self.name, [found for found, _ in some], computed, epoch)
            self._store.apply(self._user, [keep], action="embed", at=self._clock())
            for vector, (_, rows) in zip(computed, some, strict=True):
                result[rows] = vector
        return result

    def _known(self, hashes: Sequence[bytes]) -> tuple[dict[bytes, int], Vectors]:
        if self._loaded is not None:
            return self._loaded
        found, vectors = self._store.read(self._user, VectorsOf(self.name, hashes))
        return {name: place for place, name in enumerate(found)}, vectors


def _speakable(text: str) -> str:
    """Text that a tokenizer takes: lone surrogates cannot be encoded."""
    return text.encode("utf-8", "replace").decode("utf-8")


def document_of(record: Record) -> Document | None:
    """What a retriever is given of a record; None for what is not recalled."""
    if isinstance(record, Episode):
        if record.role not in _RECALLED_ROLES:
            return None
        return Document(
            id=record.id,
            text=_speakable(record.text),
            time=record.time,
            session=record.session,
            position=record.position,
            speaker=_speakable(record.speaker or record.role),
        )
    if isinstance(record, Fact):
        if record.superseded_at is not None:
            return None
        return Document(
            id=record.id,
            text=_speakable(record.text),
            unit="fact",
            time=record.valid_from or record.recorded_at,
            speaker=_speakable(record.subject),
        )
    if isinstance(record, Session) and record.summary:
        return Document(
            id=summary_id(record.id),
            text=_speakable(record.summary),
            unit="summary",
            time=record.ended or record.started or record.recorded_at,
            session=record.id,
        )
    return None


def summary_id(session: str) -> str:
    """The id of a session's summary among documents; a session's own name could be another document's id."""
    return f"summary:{session}"


class Shelf(Protocol):
    """Turns a retriever into bytes and back, for one kind of retriever. `code` names what the bytes depend
    on."""

    @property
    def code(self) -> str: ...

    def dump(self, retriever: Retriever) -> bytes: ...

    def load(self, state: bytes, retriever: Retriever, vectors: Vectors | None) -> set[str]: ...

    def learn(self, retriever: Retriever, feedback: Sequence[Feedback]) -> None: ...

    def head(self, retriever: Retriever) -> Mapping[str, object] | None: ...

    def take_head(self, retriever: Retriever, state: Mapping[str, object] | None) -> None: ...


class Taken(NamedTuple):
    """A snapshot: the code that made it, the version it stands at, its vectors by hash, its state."""

    code: str
    version: int
    hashes: Sequence[bytes]
    state: bytes


def pack_snapshot(taken: Taken) -> bytes:
    head = json.dumps([taken.code, taken.version, len(taken.hashes)]).encode("ascii")
    return b"".join([len(head).to_bytes(4, "big"), head, *taken.hashes, taken.state])


def unpack_snapshot(body: bytes, code: str) -> Taken | None:
    """None for a snapshot by other code, or for none at all: it is made again."""
    size = int.from_bytes(body[:4], "big")
    try:
        made_by, version, count = json.loads(body[4 : 4 + size])
    except (ValueError, TypeError):
        return None
    if made_by != code:
        return None
    start, end = 4 + size, 4 + size + 16 * count
    hashes = [body[at : at + 16] for at in range(start, end, 16)]
    return Taken(made_by, version, hashes, body[end:])


class _Recorder:
    """An embedder that computes nothing and notes what it was given."""

    name = "recorder"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.texts: set[str] = set()

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        self.texts.update(texts)
        return self.embed_queries(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        vectors[:, 0] = 1.0
        return vectors


def embedded(
    documents: Sequence[Document], factory: RetrieverFactory, embedder: StoredEmbedder | None
) -> set[str]:
    """The texts that a retriever embeds of these documents."""
    recorder = _Recorder(embedder.dimension if embedder is not None else 1)
    retriever = factory(recorder)
    retriever.add(documents)
    retriever.search(Query(text="x", k=1))  # some embed only when first asked
    return recorder.texts


class Index:
    """A retriever over one person's records and the version it stands at."""

    def __init__(
        self,
        store: MemoryStore,
        user: str,
        factory: RetrieverFactory,
        embedder: StoredEmbedder | None,
        *,
        shelf: Shelf | None = None,
    ) -> None:
        self._store = store
        self._user = user
        self._factory = factory
        self._embedder = embedder
        self._shelf = shelf
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._retriever: Retriever | None = None
        self._known: set[str] = set()  # ids of the retriever's documents
        self._pure = False  # nothing was removed since building: nothing forgotten can be in a snapshot
        self._unsaved = 0  # documents added since the last snapshot
        self._uses: Uses = {}
        self._learnt: set[str] | None = None  # feedback that the head has taken in; None: not looked yet

    def search(self, query: Query) -> tuple[list[Ranked], Uses]:
        """What was found, and how often what was found before was used."""
        with self._lock:
            retriever = self._level()
            return retriever.search(query), self._uses

    def build(self) -> None:
        """Make the index now, embeddings and all, whether it is level or not."""
        with self._lock:
            self._build()

    def expect(self, count: int) -> None:
        """So much was just written: more than a few are left to a worker, if there are such."""
        if self._embedder is not None:
            self._embedder.expect(count)

    def level(self) -> None:
        """Take in what was written since, embeddings and all."""
        with self._lock:
            self._level()

    @property
    def lacks_embeddings(self) -> bool:
        """Whether some texts are found by words alone, until a worker has embedded them."""
        return self._embedder is not None and self._embedder.lacks

    def texts(self, records: Sequence[Record]) -> set[str]:
        """The texts that the retriever embeds of these records, found by letting it embed them with
        nothing."""
        documents = [document for record in records if (document := document_of(record)) is not None]
        return embedded(documents, self._factory, self._embedder)

    def reset(self) -> None:
        """Begin again at the next search."""
        with self._lock:
            self._head, self._retriever = None, None

    def _level(self) -> Retriever:
        head = self._store.read(self._user, HeadOf())
        if self._embedder is not None and self._embedder.could_have_more():
            self._retriever = None
        if self._retriever is None or self._head is None:
            return self._restored(head) or self._build()
        if head.epoch != self._head.epoch:
            self._compare(self._retriever, head)
        elif head.version != self._head.version:
            self._catch_up(self._retriever, self._head)
        if self._shelf is not None and not self._pure and not self.lacks_embeddings and self._is_due():
            return self._build()  # no snapshot can be taken of it, and the last one is far behind
        return self._retriever

    def _is_due(self) -> bool:
        """Whether opening from the last snapshot would take long."""
        return self._unsaved >= max(SNAPSHOT_FROM, len(self._known) // 5)

    def _build(self) -> Retriever:
        # The head is read first: what is written meanwhile is seen again by the next catching up.
        head = self._store.read(self._user, HeadOf())
        retriever = self._factory(self._embedder)
        documents = self.documents()
        if self._embedder is not None:
            self._embedder.begin()
            self._embedder.load()
        try:
            retriever.add(documents)
        finally:
            if self._embedder is not None:
                self._embedder.release()
        self._learnt = None
        self._read_uses(retriever, head)
        self._known = {document.id for document in documents}
        self._pure, self._unsaved = True, len(documents)
        self._head, self._retriever = head, retriever
        self._save()
        return retriever

    def _restored(self, head: Head) -> Retriever | None:
        """The retriever from its snapshot, brought level; None when there is none that fits."""
        if self._shelf is None:
            return None
        body = self._store.read(self._user, BlobNamed(self._snapshot_name))
        taken = None if body is None else unpack_snapshot(body, self._shelf.code)
        if taken is None or taken.version > head.version:
            return None
        if self._embedder is not None:
            self._embedder.begin()
            self._embedder.order = list(taken.hashes)
        vectors = None if self._embedder is None else self._embedder.stored(taken.hashes)
        retriever = self._factory(self._embedder)
        try:
            self._known = self._shelf.load(taken.state, retriever, vectors)
        except DataError:
            return None  # derived, and so made again
        self._pure, self._unsaved, self._learnt = True, 0, None
        self._read_uses(retriever, head)
        self._head, self._retriever = Head(taken.version, head.epoch), retriever
        if taken.version != head.version:
            self._catch_up(retriever, self._head)
        return self._retriever

    @property
    def _snapshot_name(self) -> str:
        return f"index of {'words' if self._embedder is None else self._embedder.name}"

    def _save(self) -> None:
        """Keep a snapshot when building again would be felt and nothing in it was removed."""
        if self._shelf is None or self._retriever is None or self._head is None:
            return
        if not self._pure or not self._is_due() or self.lacks_embeddings:
            return
        state = self._shelf.dump(self._retriever)
        hashes = [] if self._embedder is None else self._embedder.order
        body = pack_snapshot(Taken(self._shelf.code, self._head.version, hashes, state))
        keep = KeepBlob(self._snapshot_name, body, self._head.epoch)
        self._store.apply(self._user, [keep], action="snapshot", at=datetime.now(UTC))
        self._unsaved = 0

    def documents(self) -> list[Document]:
        records = [
            record
            for kind in ("episode", "fact", "session")
            for record in self._store.read(self._user, Select(kind=kind))
        ]
        return [document for record in records if (document := document_of(record)) is not None]

    def _read_uses(self, retriever: Retriever, head: Head) -> None:
        """What answers used, for fading, and for the ranking to learn from what it has not learnt from
        yet."""
        found = self._store.read(self._user, Select(kind="feedback"))
        feedback = [one for one in found if isinstance(one, Feedback)]
        self._uses = used(feedback)
        lessons = [one for one in feedback if one.about == "retrieval" and one.good]
        if self._shelf is None or not (lessons or self._learnt):
            return
        name = f"head over {self._snapshot_name}"
        if self._learnt is None:
            body = self._store.read(self._user, BlobNamed(name))
            kept = {} if body is None else json.loads(body)
            self._learnt = set(kept.get("learnt", ()))
            self._shelf.take_head(retriever, kept.get("head"))
        if not self._learnt <= {one.id for one in lessons}:  # some were taken back or forgotten: begin again
            self._learnt = set()
            self._shelf.take_head(retriever, None)
        new = sorted((one for one in lessons if one.id not in self._learnt), key=lambda one: one.recorded_at)
        if new:
            self._shelf.learn(retriever, new[-MOST_LESSONS:])
            self._learnt |= {one.id for one in new}
            state = {"learnt": sorted(self._learnt), "head": self._shelf.head(retriever)}
            keep = KeepBlob(name, json.dumps(state).encode("ascii"), head.epoch)
            self._store.apply(self._user, [keep], action="learn", at=datetime.now(UTC))

    def _compare(self, retriever: Retriever, head: Head) -> None:
        """Something was forgotten: take out what is not there any more, without beginning again."""
        documents = {document.id: document for document in self.documents()}
        self._change(
            retriever, self._known - documents.keys(), [documents[i] for i in documents.keys() - self._known]
        )
        self._read_uses(retriever, head)
        self._head = head

    def _catch_up(self, retriever: Retriever, head: Head) -> None:
        caught = self._store.read(self._user, ChangedAfter(version=head.version, kinds=_KINDS))
        if caught.head.epoch != head.epoch:
            self._compare(retriever, caught.head)
            return
        gone = {
            document_id(kind, key.rpartition("/")[0] if kind == "fact" else key) for kind, key in caught.gone
        }
        new: dict[str, Document] = {}
        for record in caught.present:
            document = document_of(record)
            if document is None:
                gone.add(document_id(record.record_kind, record.id))
            else:
                new[document.id] = document
        self._change(retriever, gone - new.keys(), list(new.values()))
        if any(where.kind == "feedback" for where in (*map(reference, caught.present), *caught.gone)):
            self._read_uses(retriever, caught.head)
        self._head = caught.head
        self._save()

    def _change(self, retriever: Retriever, gone: Set[str], new: Sequence[Document]) -> None:
        gone = gone & self._known
        if gone:
            retriever.remove(gone)
        if new:
            retriever.add(new)
        # Adding an id again leaves its old words in the index, too.
        self._pure = self._pure and not gone and self._known.isdisjoint(document.id for document in new)
        self._known -= gone
        self._known.update(document.id for document in new)
        self._unsaved += len(new)


def used(records: Iterable[Record]) -> Uses:
    """How often each id was among what an answer used."""
    uses: dict[str, tuple[int, datetime]] = {}
    for record in records:
        if isinstance(record, Feedback):
            for name in record.good:
                count, last = uses.get(name, (0, record.recorded_at))
                uses[name] = count + 1, max(last, record.recorded_at)
    return uses


def document_id(kind: str, record_id: str) -> str:
    return summary_id(record_id) if kind == "session" else record_id
