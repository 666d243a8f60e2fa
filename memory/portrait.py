"""Who the person is taken to be, kept level with their memory: the profile's versions, and the state behind.

A `Profiler` makes the profile out of what changed; its state is kept beside the rows (derived, dropped by
forgetting), so that nothing old is read again. Knows neither a profile's form nor its words.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, Protocol, cast

from mnemon.errors import UsageError
from mnemon.memory.records import (
    Episode,
    Fact,
    Feedback,
    ProfileVersion,
    Quote,
    Record,
    RecordKind,
    Reference,
    Session,
    content_id,
)
from mnemon.memory.seams import (
    BlobNamed,
    CatchUp,
    ChangedAfter,
    Head,
    HeadOf,
    KeepBlob,
    MemoryStore,
    Operation,
    Put,
    Select,
    Snapshot,
)

KINDS: tuple[RecordKind, ...] = ("episode", "session", "fact", "feedback")
_BACK = "back to "  # how the note of a version begins that was gone back to
_BLOB = "profile"


class StatementView(Protocol):
    """One thing that a profile says, and the words of the person that it rests on."""

    @property
    def section(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def quotes(self) -> tuple[Quote, ...]: ...

    @property
    def said_at(self) -> datetime | None: ...

    @property
    def sensitive(self) -> str: ...  # "health", "religion", ...; "" for what is not


class ProfileView(Protocol):
    """A profile as its readers need it; `mnemon.profiles.Profile` is the one that profilers make."""

    @property
    def statements(self) -> Sequence[StatementView]: ...


class Drawn(Protocol):
    """What a profiler made."""

    @property
    def body(self) -> str: ...  # what is shown, and kept as a version

    @property
    def sources(self) -> tuple[str, ...]: ...  # ids of the records that the body rests on

    @property
    def state(self) -> bytes: ...  # what it goes on from


class _Adopted(NamedTuple):
    body: str
    sources: tuple[str, ...]
    state: bytes


class Profiler(Protocol):
    """Makes profiles out of what changed, and reads them."""

    @property
    def name(self) -> str: ...

    def refresh(
        self, state: bytes | None, *, present: Sequence[Record], gone: Sequence[Reference], at: datetime
    ) -> Drawn | None: ...  # None: what is gone cannot be taken out of the state; everything is needed

    def adopt(self, state: bytes, body: str) -> bytes: ...  # the state, as if it had made this body

    def read(self, version: ProfileVersion) -> ProfileView: ...


@dataclass(frozen=True)
class _Kept:
    """A state and how far it has come."""

    head: Head
    state: bytes


@dataclass(frozen=True)
class _Stand:
    """A profile and how far it has come."""

    head: Head
    drawn: Drawn

    @property
    def kept(self) -> _Kept:
        return _Kept(self.head, self.drawn.state)


class Portrait:
    """The profile of one person. Safe to share between threads."""

    def __init__(
        self, store: MemoryStore, user: str, profiler: Profiler | None, *, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._user = user
        self._given = profiler
        self._clock = clock
        self._lock = threading.Lock()
        self._stand: _Stand | None = None

    @property
    def on(self) -> bool:
        return self._given is not None

    @property
    def _profiler(self) -> Profiler:
        if self._given is None:
            raise UsageError(
                "This memory was opened without a profiler, so it makes no profiles.",
                hint="`from mnemon import Memory` opens one that does; or give it a `profiler`.",
            )
        return self._given

    def now(self) -> ProfileView:
        """The profile as of everything that is written. Nothing is written for it."""
        return self._profiler.read(self._version(self._level().drawn))

    def then(self, moment: datetime) -> ProfileView:
        """The profile as it was taken to be at a moment: the version kept last, or one made from what was
        known."""
        earlier = [one for one in self.versions() if one.recorded_at <= moment]
        if earlier:
            return self._profiler.read(earlier[-1])
        drawn = self._profiler.refresh(None, present=self._known_at(moment), gone=(), at=moment)
        assert drawn is not None, "with nothing gone there is nothing to refuse"
        return self._profiler.read(self._version(drawn, at=moment))

    def versions(self) -> list[ProfileVersion]:
        """What was kept, oldest first."""
        found = cast(list[ProfileVersion], self._store.read(self._user, Select(kind="profile")))
        return sorted(found, key=lambda one: (one.recorded_at, one.id))

    def read(self, version: ProfileVersion) -> ProfileView:
        return self._profiler.read(version)

    # --- what a writer applies

    def draft(self) -> tuple[Head, list[Operation]]:
        """A new version where the profile says something new, to be applied at this head."""
        stand = self._level()
        return stand.head, self._operations(stand.drawn)

    def after(self, before: Snapshot, changed: Snapshot) -> list[Operation]:
        """The same for a memory as consolidation leaves it, before that is written. The state is not moved:
        the changes are read once more, when they stand."""
        known = {fact.key: fact for fact in before.facts}
        left = {fact.key: fact for fact in changed.facts}
        present: list[Record] = [fact for key, fact in left.items() if known.get(key) != fact]
        present += [
            Session(id=name, summary=summary, sources=tuple(changed.summary_sources.get(name, ())))
            for name, summary in changed.sessions.items()
            if before.sessions.get(name) != summary
        ]
        gone = [Reference("fact", key) for key in known.keys() - left.keys()]
        stand = self._level()
        drawn = stand.drawn
        if present or gone:
            renewed = self._profiler.refresh(drawn.state, present=present, gone=gone, at=self._clock())
            drawn = renewed if renewed is not None else drawn
        return self._operations(drawn)

    def back_to(self, version: ProfileVersion) -> tuple[Head, list[Operation]]:
        """An older version as the newest one, and as what is gone on from."""
        stand = self._level()
        state = self._profiler.adopt(stand.drawn.state, version.body)
        drawn = _Adopted(version.body, version.sources, state)
        # The state stands where this will be written: a writer applies it at this head or not at all.
        following = _Stand(Head(stand.head.version + 1, stand.head.epoch), drawn)
        return stand.head, [Put(self._version(drawn, note=f"{_BACK}{version.id}")), self._kept(following)]

    def keep(self) -> None:
        """Keep the state, so that the next process goes on from here."""
        stand = self._level()
        if _head_of(self._store.read(self._user, BlobNamed(_BLOB))) != stand.head:
            self._store.apply(self._user, [self._kept(stand)], action="derive", at=self._clock())

    # --- inside

    def _level(self) -> _Stand:
        with self._lock:
            head = self._store.read(self._user, HeadOf())
            if self._stand is None or self._stand.head.version > head.version:
                self._stand = self._caught_up(self._kept_state(), head)
            elif self._stand.head != head:
                self._stand = self._caught_up(self._stand.kept, head, drawn=self._stand.drawn)
            return self._stand

    def _caught_up(self, since: _Kept | None, head: Head, *, drawn: Drawn | None = None) -> _Stand:
        """The profile with what changed since a state, from which `drawn` was made; from everything where
        that is not enough."""
        if since is not None and since.head.epoch == head.epoch:
            # What is seen of a later head than this is read once more next time, which changes nothing.
            query = ChangedAfter(version=since.head.version, kinds=(*KINDS, "profile"))
            caught: CatchUp = self._store.read(self._user, query)
            versions = [one for one in caught.present if isinstance(one, ProfileVersion)]
            if any(one.note.startswith(_BACK) for one in versions):
                kept = self._kept_state()  # somebody went back: the state was replaced
                if kept is not None and kept.head.version > since.head.version:
                    return self._caught_up(kept, head)
            undone = any(one.kind == "profile" for one in caught.gone)
            if caught.head.epoch == head.epoch and not undone:
                present: list[Record] = [one for one in caught.present if not isinstance(one, ProfileVersion)]
                if drawn is not None and not present and not caught.gone:
                    return _Stand(caught.head, drawn)
                present += self._cited(present)
                drawn = self._profiler.refresh(
                    since.state, present=present, gone=caught.gone, at=self._clock()
                )
                if drawn is not None:
                    return _Stand(caught.head, drawn)
        everything = [record for kind in KINDS for record in self._store.read(self._user, Select(kind=kind))]
        drawn = self._profiler.refresh(None, present=everything, gone=(), at=self._clock())
        assert drawn is not None, "with nothing gone there is nothing to refuse"
        return _Stand(head, drawn)

    def _cited(self, present: Sequence[Record]) -> list[Record]:
        """The replies that new feedback rates, where they are not new themselves."""
        rated = [one for one in present if isinstance(one, Feedback) and one.about == "reply"]
        cited = {name for one in rated for name in (*one.good, *one.bad)}
        wanted = sorted(cited - {one.id for one in present if isinstance(one, Episode)})
        return self._store.read(self._user, Select(kind="episode", keys=wanted)) if wanted else []

    def _kept_state(self) -> _Kept | None:
        """What this profiler, and no other, left behind."""
        blob = self._store.read(self._user, BlobNamed(_BLOB))
        head = _head_of(blob)
        if blob is None or head is None:
            return None
        first, _, state = blob.partition(b"\n")
        return _Kept(head, state) if json.loads(first)["by"] == self._profiler.name else None

    def _kept(self, stand: _Stand) -> KeepBlob:
        label = {"version": stand.head.version, "epoch": stand.head.epoch, "by": self._profiler.name}
        blob = json.dumps(label).encode() + b"\n" + stand.drawn.state
        return KeepBlob(_BLOB, blob, epoch=stand.head.epoch)

    def _operations(self, drawn: Drawn) -> list[Operation]:
        latest = self.versions()[-1:]
        if latest and latest[0].body == drawn.body:
            return []
        return [Put(self._version(drawn))]

    def _version(self, drawn: Drawn, *, at: datetime | None = None, note: str = "") -> ProfileVersion:
        moment = at or self._clock()
        made_by = self._profiler.name
        return ProfileVersion(
            id=content_id("p", [drawn.body, made_by, note, moment.isoformat()]),
            body=drawn.body,
            recorded_at=moment,
            sources=drawn.sources,
            made_by=made_by,
            note=note,
        )

    def _known_at(self, moment: datetime) -> list[Record]:
        read = self._store.read
        episodes = cast(list[Episode], read(self._user, Select(kind="episode", until=moment)))
        facts = cast(list[Fact], read(self._user, Select(kind="fact", known_at=moment)))
        feedback = cast(list[Feedback], read(self._user, Select(kind="feedback")))
        return [
            *(one for one in episodes if one.recorded_at <= moment),
            *(replace(fact, superseded_at=None) for fact in facts),  # they were not, then
            *(one for one in feedback if one.recorded_at <= moment),
        ]


def _head_of(blob: bytes | None) -> Head | None:
    if blob is None:
        return None
    label = json.loads(blob.partition(b"\n")[0])
    return Head(label["version"], label["epoch"])
