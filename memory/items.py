"""What programs keep about a person under namespaces and names: any JSON objects, with an end or without,
found by words and meaning like everything else.

The rows are the store's. They stand in memory, level with it, from the first search or listing on. Knows
nothing of LangGraph, whose `BaseStore` is built on this.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, cast

from mnemon.errors import UsageError
from mnemon.memory.history import USED
from mnemon.memory.indexing import RetrieverFactory, StoredEmbedder, embedded, text_hash
from mnemon.memory.inputs import check_name, check_text
from mnemon.memory.records import Item, Record, item_id, reference
from mnemon.memory.seams import (
    ChangedAfter,
    Forget,
    Head,
    HeadOf,
    MemoryStore,
    Operation,
    Put,
    Remove,
    Select,
)
from mnemon.memory.writing import settled
from mnemon.retrievers import Document, Query, Retriever

Place = tuple[tuple[str, ...], str]  # namespace and name

MOST_LABELS = 20
DEEPEST = 60
_MOST_MINUTES = 60 * 24 * 365 * 1000
_WORTH_WRITING = 0.01  # of its time to live: a use that moves an item's end by less is not written down


class Found(NamedTuple):
    item: Item
    score: float | None  # higher is better, by this query alone; None: it is searched by nothing


class Items:
    """One person's items; `Person.items`. Safe to share between threads."""

    def __init__(
        self,
        store: MemoryStore,
        user: str,
        factory: RetrieverFactory,
        embedder: StoredEmbedder | None,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._user = user
        self._factory = factory
        self._embedder = embedder
        self._clock = clock
        self._lock = threading.RLock()
        self._head: Head | None = None
        self._items: dict[str, Item] = {}
        self._newest: list[Item] | None = None  # all of them in order; None: something has changed since
        self._retriever: Retriever | None = None
        self._known: dict[str, int] = {}  # how many documents the retriever has of each item
        self._stale: dict[str, Item | None] = {}  # items that it does not know as they are now

    # --- writing

    def entry(
        self,
        namespace: Sequence[str],
        name: str,
        content: Mapping[str, Any],
        *,
        words: Sequence[str] | None = None,
        ttl: float | None = None,
    ) -> Item:
        """A checked item to be written. `words`: what it is searched by, None for all of its content.
        `ttl`: minutes after its last use."""
        place, name = check_place(namespace, name)
        if not isinstance(content, Mapping):
            raise UsageError(
                f"the value of {name!r} is {content!r:.80}, expected an object",
                hint='For example {"text": "likes tea"}',
            )
        now = self._clock()
        return Item(
            id=item_id(place, name),
            namespace=place,
            name=name,
            content=cast(dict[str, Any], _plain(content, f"the value of {name!r}", 0)),
            words=None if words is None else tuple(check_text(one, "what to search by") for one in words),
            made=now,
            recorded_at=now,
            ttl=check_ttl(ttl),
            expires=None if ttl is None else now + timedelta(minutes=ttl),
        )

    def write(self, entries: Sequence[Item], removed: Sequence[Place] = ()) -> None:
        """Put items, and take others out, in one transaction. `undo` brings back what was there before."""
        standing = {one.id: one for one in self._by_id([entry.id for entry in entries])}
        puts: list[Operation] = [
            Put(replace(entry, made=standing[entry.id].made) if entry.id in standing else entry)
            for entry in entries
        ]
        gone = self._by_id([item_id(*check_place(*place)) for place in removed])
        operations = puts + [Remove(reference(one)) for one in gone]
        if operations:
            self._store.apply(self._user, operations, action="keep", at=self._clock())

    def use(self, items: Sequence[Item]) -> None:
        """Begin their time to live again. What has ended stays ended."""
        now = self._clock()
        due = [one.id for one in items if _renewed(one, now) is not None]
        if not due:
            return

        def attempt() -> None:
            # Read again, so that what somebody else has written meanwhile is not written over.
            version = self._store.read(self._user, HeadOf()).version
            renewed = [_renewed(one, now) for one in self._by_id(due)]
            puts: list[Operation] = [Put(one) for one in renewed if one is not None]
            if puts:
                self._store.apply(self._user, puts, action=USED, at=now, if_version=version)

        settled(attempt, self._user)

    def sweep(self) -> int:
        """Take out for good what has come to its end; gives how many."""

        def attempt() -> int:
            with self._lock:
                self._level()
                assert self._head is not None
                version, now = self._head.version, self._clock()
                over = [one for one in self._items.values() if not _alive(one, now)]
            if over:
                # A text that another item has too is embedded again when it is next searched.
                hashes = [text_hash(text) for text in sorted(self.texts(over))]
                forget = Forget([reference(one) for one in over], hashes=hashes)
                # One that is written again meanwhile stays.
                self._store.apply(self._user, [forget], action="expire", at=now, if_version=version)
            return len(over)

        return settled(attempt, self._user)

    # --- reading

    def get(self, namespace: Sequence[str], name: str) -> Item | None:
        found = self._by_id([item_id(*check_place(namespace, name))])
        return found[0] if found and _alive(found[0], self._clock()) else None

    def under(self, prefix: Sequence[str]) -> list[Item]:
        """Items whose namespace begins so, the last written first."""
        begin, now = tuple(prefix), self._clock()
        with self._lock:
            self._level()
            if self._newest is None:
                self._newest = sorted(
                    self._items.values(), key=lambda one: (one.recorded_at, one.id), reverse=True
                )
            standing = self._newest
        return [one for one in standing if one.namespace[: len(begin)] == begin and _alive(one, now)]

    def search(self, query: str, among: Sequence[Item], limit: int) -> list[Found]:
        """The best of these items for a query, then those that are searched by nothing."""
        check_text(query, "the query")
        if not query.strip():
            return [Found(one, None) for one in among[:limit]]
        by_id = {one.id: one for one in among}
        with self._lock:
            self._level()
            retriever = self._ready()
            pieces = {name: count for name in by_id if (count := self._known.get(name, 0))}
            asked = Query(
                text=query,
                k=limit * max(pieces.values(), default=1),
                time=self._clock(),
                units=frozenset({"fact"}),
                # Naming everything costs more than the search itself.
                allowed=None if len(pieces) == len(self._known) else _names(pieces),
            )
            ranked = retriever.search(asked) if pieces else []
        found: dict[str, Found] = {}
        for hit in ranked:
            item = by_id.get(hit.id.rpartition("#")[0])
            if item is not None:  # it may have come since
                found.setdefault(item.id, Found(item, hit.score))
        best = list(found.values())[:limit]
        if len(best) < limit:
            rest = (Found(one, None) for one in among if one.id not in found)
            best += islice(rest, limit - len(best))
        return best

    def texts(self, records: Sequence[Record]) -> set[str]:
        """The texts that the retriever embeds of the items among these records."""
        documents = [one for record in records if isinstance(record, Item) for one in _documents(record)]
        return embedded(documents, self._factory, self._embedder)

    # --- keeping level

    def _by_id(self, ids: Sequence[str]) -> list[Item]:
        if not ids:
            return []
        return cast(list[Item], self._store.read(self._user, Select(kind="item", keys=ids)))

    def _level(self) -> None:
        head = self._store.read(self._user, HeadOf())
        if self._head is not None and self._head.epoch == head.epoch:
            if self._head.version == head.version:
                return
            caught = self._store.read(self._user, ChangedAfter(version=self._head.version, kinds=("item",)))
            if caught.head.epoch == head.epoch:
                for where in caught.gone:
                    self._items.pop(where.key, None)
                    self._stale[where.key] = None
                for record in cast(list[Item], caught.present):
                    self._items[record.id] = record
                    self._stale[record.id] = record
                if caught.gone or caught.present:
                    self._newest = None
                self._head = caught.head
                return
        # The head is read before the items: what comes between is taken in again by the next catching up.
        head = self._store.read(self._user, HeadOf())
        found = cast(list[Item], self._store.read(self._user, Select(kind="item")))
        self._items = {one.id: one for one in found}
        self._newest, self._retriever, self._stale = None, None, {}
        self._head = head

    def _ready(self) -> Retriever:
        """The retriever, with every item in it as it is now."""
        if self._retriever is None:
            self._retriever, self._known = self._factory(self._embedder), {}
            new = list(self._items.values())
        else:
            gone = {name: self._known.pop(name, 0) for name in self._stale}
            self._retriever.remove(_names(gone))
            new = [one for one in self._stale.values() if one is not None]
        if self._embedder is not None:
            self._embedder.begin()
        documents = {one.id: _documents(one) for one in new}
        self._retriever.add([document for some in documents.values() for document in some])
        self._known |= {name: len(some) for name, some in documents.items() if some}
        self._stale = {}
        return self._retriever


def check_place(namespace: Sequence[str], name: str) -> Place:
    if isinstance(namespace, str) or not isinstance(namespace, Sequence) or not namespace:
        raise UsageError(
            f"the namespace is {namespace!r}, expected some labels", hint='For example ("notes", "travel")'
        )
    if len(namespace) > MOST_LABELS:
        raise UsageError(f"the namespace has {len(namespace)} labels, at most {MOST_LABELS} are allowed")
    return tuple(check_name(label, "a label of the namespace") for label in namespace), check_name(
        name, "the key"
    )


def check_ttl(ttl: object) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= _MOST_MINUTES:
        raise UsageError(f"ttl is {ttl!r}, expected minutes, more than none", hint="For example 60 * 24 * 30")
    return float(ttl)


def spoken(item: Item) -> Sequence[str]:
    """What an item is searched by: its words, or its whole content as lines of `name: value`."""
    if item.words is not None:
        return item.words
    text = "\n".join(_lines(item.content, ""))
    return (text,) if text.strip() else ()


def _lines(value: object, name: str) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in _lines(inner, key)]
    if isinstance(value, list):
        return [line for inner in value for line in _lines(inner, name)]
    return [] if value is None else [f"{name}: {value}" if name else str(value)]


def _names(pieces: Mapping[str, int]) -> list[str]:
    """The ids of the documents of items that have so many."""
    return [f"{name}#{n}" for name, count in pieces.items() for n in range(count)]


def _documents(item: Item) -> list[Document]:
    # Facts, to a retriever, stand for themselves: no windows and sessions are made of them.
    return [
        Document(
            id=f"{item.id}#{n}",
            text=text.encode("utf-8", "replace").decode("utf-8"),
            unit="fact",
            time=item.recorded_at,
        )
        for n, text in enumerate(spoken(item))
    ]


def _alive(item: Item, now: datetime) -> bool:
    return item.expires is None or item.expires > now


def _renewed(item: Item, now: datetime) -> Item | None:
    """The item with its time begun again; None where that is not worth writing, or too late."""
    if item.ttl is None or item.expires is None or not _alive(item, now):
        return None
    whole = timedelta(minutes=item.ttl)
    return (
        replace(item, expires=now + whole) if now + whole - item.expires >= whole * _WORTH_WRITING else None
    )


def _plain(value: object, where: str, depth: int) -> object:
    """A copy as JSON gives it back; what JSON would bend is refused."""
    if depth > DEEPEST:
        raise UsageError(f"{where} is nested more than {DEEPEST} deep")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise UsageError(f"{where} has the key {wrong!r}, expected text")
        return {key: _plain(inner, f"{where}, {key!r}", depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, where, depth + 1) for inner in value]
    raise UsageError(
        f"{where} holds {value!r:.80}, which JSON cannot", hint="Give text, numbers, lists and objects."
    )
