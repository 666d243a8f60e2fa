"""Writing turns: their identity, the facts that an extractor reads in them, and one transaction for both.

Facts depend on the facts that are there, so they are written only if nothing has changed since these were
read; otherwise everything is read again. Turns without facts never wait for anybody.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar, cast

from mnemon.errors import StoreError
from mnemon.memory.hygiene import RecallTag, admit
from mnemon.memory.inputs import Turn
from mnemon.memory.records import Episode, Fact, Record, Suppression, episode_id
from mnemon.memory.seams import (
    ChangedAfter,
    ConflictError,
    Event,
    Extractor,
    Head,
    HeadOf,
    MemoryStore,
    Operation,
    ProposedFact,
    Put,
    Select,
    Snapshot,
)

T = TypeVar("T")

ATTEMPTS = 50  # a writer that loses this often against others has met a defect, not a rival


class Consolidate(Protocol):
    """Everything that is known → operations that tidy it. `mnemon.memory.consolidate.consolidate`."""

    def __call__(
        self,
        snapshot: Snapshot,
        *,
        extractor: Extractor | None,
        at: datetime,
        used: Collection[str],
        refresh: Callable[[Snapshot], Sequence[Operation]] | None,
    ) -> list[Operation]: ...


class Integrate(Protocol):
    """Proposals and what is known → operations. `mnemon.memory.consolidate.integrate`."""

    def __call__(
        self, proposed: Sequence[ProposedFact], snapshot: Snapshot, *, at: datetime
    ) -> list[Operation]: ...


def admitted(turns: Sequence[Turn], tag: RecallTag) -> list[Turn]:
    """What of these turns is written: without recalled text that came back, without turns that say
    nothing."""
    found: list[Turn] = []
    for turn in turns:
        admission = admit(turn.text, turn.role, tag)
        if admission.kept:
            found.append(turn._replace(text=admission.text))
    return found


def episodes_from(turns: Sequence[Turn], *, now: datetime) -> list[Episode]:
    """Turns with their identity. Equal turns of one batch are told apart by their number, so that the same
    batch again gives the same ids."""
    seen: Counter[tuple[str, str, str, str, datetime]] = Counter()
    episodes: list[Episode] = []
    for turn in turns:
        same = (turn.session, turn.role, turn.speaker, turn.text, turn.time)
        identity = episode_id(
            turn.text,
            turn.time,
            session=turn.session,
            role=turn.role,
            speaker=turn.speaker,
            occurrence=seen[same],
        )
        seen[same] += 1
        episodes.append(
            Episode(
                id=identity,
                text=turn.text,
                time=turn.time,
                session=turn.session,
                role=turn.role,
                speaker=turn.speaker,
                source=turn.source,
                recorded_at=now,
                meta=turn.meta,
            )
        )
    return episodes


class Knowledge:
    """The facts of one person as of one version, kept level with the store: what integration reads."""

    def __init__(self, store: MemoryStore, user: str) -> None:
        self._store = store
        self._user = user
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._facts: dict[str, Fact] = {}
        self._suppressed: set[str] = set()

    def snapshot(self, episodes: Sequence[Episode]) -> Snapshot:
        """`episodes` are the ones that proposals quote, not all there are."""
        with self._lock:
            self._level()
            assert self._head is not None
            return Snapshot(
                head=self._head,
                episodes=episodes,
                facts=list(self._facts.values()),
                suppressed=frozenset(self._suppressed),
            )

    def follow(self, event: Event) -> None:
        """Take in a write of this process without reading it back, if it was the next one."""
        with self._lock:
            if self._head is None or event.number != self._head.version + 1:
                return
            present = [change.after for change in event.changes if change.after is not None]
            self._take([one for one in present if isinstance(one, Fact | Suppression)], [])
            self._head = self._head._replace(version=event.number)

    def _level(self) -> None:
        head = self._store.read(self._user, HeadOf())
        if self._head is not None and self._head.epoch == head.epoch:
            if self._head.version == head.version:
                return
            caught = self._store.read(
                self._user, ChangedAfter(version=self._head.version, kinds=("fact", "suppression"))
            )
            if caught.head.epoch == head.epoch:
                self._take(caught.present, [(where.kind, where.key) for where in caught.gone])
                self._head = caught.head
                return
        # The head is read before the facts: what comes between is taken in again by the next catching up.
        head = self._store.read(self._user, HeadOf())
        facts = self._store.read(self._user, Select(kind="fact"))
        self._facts, self._suppressed = {}, set()
        self._take([*facts, *self._store.read(self._user, Select(kind="suppression"))], [])
        self._head = head

    def _take(self, present: Sequence[Record], gone: Sequence[tuple[str, str]]) -> None:
        for kind, key in gone:
            if kind == "suppression":
                self._suppressed.discard(key)
            elif (name := key.rpartition("/")[0]) in self._facts and self._facts[name].key == key:
                del self._facts[name]
        for record in present:
            if not isinstance(record, Fact):
                self._suppressed.add(record.id)
            elif record.superseded_at is None:
                self._facts[record.id] = record
        for record in present:
            if isinstance(record, Fact) and record.superseded_at is not None:
                standing = self._facts.get(record.id)
                if standing is not None and standing.revision <= record.revision:
                    del self._facts[record.id]


def settled(attempt: Callable[[], T], user: str) -> T:
    """Run a write that depends on what it read, again whenever somebody else was faster."""
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except ConflictError:
            continue
    raise StoreError(
        f"The memory of {user!r} changed under {ATTEMPTS} attempts to write; nothing was written.",
        hint="Other processes write to it without pause; try again.",
    )


def write(
    store: MemoryStore,
    user: str,
    episodes: Sequence[Episode],
    *,
    knowledge: Knowledge,
    extractor: Extractor | None,
    integrate: Integrate,
    now: datetime,
) -> Event | None:
    """Put the new ones among these episodes and what is read out of them. None: all of them were known."""

    def attempt() -> Event | None:
        there = known(store, user, episodes)
        new = [episode for episode in episodes if episode.id not in there]
        if not new:
            return None
        operations: list[Operation] = [Put(episode) for episode in new]
        proposed = [] if extractor is None else extractor.extract(new)
        if not proposed:
            return store.apply(user, operations, action="remember", at=now)
        snapshot = knowledge.snapshot(new)
        operations += signed(integrate(proposed, snapshot, at=now), extractor)
        event = store.apply(user, operations, action="remember", at=now, if_version=snapshot.head.version)
        knowledge.follow(event)
        return event

    return settled(attempt, user)


def signed(operations: Sequence[Operation], extractor: Extractor | None) -> list[Operation]:
    """The operations with the extractor's name on claims that do not say who made them."""
    name = "" if extractor is None else extractor.name
    return [
        Put(replace(operation.record, made_by=name))
        if isinstance(operation, Put) and isinstance(operation.record, Fact) and not operation.record.made_by
        else operation
        for operation in operations
    ]


def known(store: MemoryStore, user: str, episodes: Sequence[Episode]) -> set[str]:
    """Ids of those among these episodes that are there already."""
    keys = [episode.id for episode in episodes]
    return {record.id for record in cast(list[Episode], store.read(user, Select(kind="episode", keys=keys)))}
