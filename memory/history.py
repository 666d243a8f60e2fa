"""Events and snapshots derived from a store's two functions: which write to take back and how, what a batch
would change, everything at one version. Above every backend.
"""

from collections.abc import Sequence
from typing import cast

from mnemon.errors import UsageError
from mnemon.memory.records import (
    Episode,
    Fact,
    ProfileVersion,
    Record,
    Reference,
    Session,
    reference,
)
from mnemon.memory.seams import (
    Change,
    Event,
    Head,
    HeadOf,
    Log,
    MemoryStore,
    Operation,
    Put,
    Remove,
    Select,
    Snapshot,
)

FINAL = frozenset({"forget", "expire", "repair"})  # actions that leave nothing to go back to
USED = "use"  # an item was read and its time began again: nothing that anybody wants back
_LOOK_BACK = 64  # events read at a time


def target(store: MemoryStore, user: str, number: int | None) -> Event:
    """The event to take back: the one named, or the last that stands and is no undo. Bringing something again
    (an undo of an undo) is a write like any other: it is taken back before what came earlier."""
    if number is not None:
        found = store.read(user, Log(number=number))
        if not found:
            raise UsageError(f"There is no write number {number}.", hint="`mnemon diff --log` lists them.")
        if found[0].undone_by is not None:
            raise UsageError(
                f"Write {number} was taken back by write {found[0].undone_by}.",
                hint=f"To bring it again: `mnemon undo --event {found[0].undone_by}`",
            )
        return _undoable(found[0])
    limit = _LOOK_BACK
    while True:
        events = store.read(user, Log(limit=limit))
        for event in events:
            if event.undone_by is None and event.action != USED and not _takes_back(store, user, event):
                return _undoable(event)
        if len(events) < limit:
            raise UsageError(
                f"Nothing of {user!r} is left to take back.", hint="`mnemon diff --log` lists all."
            )
        limit *= 4


def _takes_back(store: MemoryStore, user: str, event: Event) -> bool:
    if event.undoes is None:
        return False
    return not any(undone.undoes is not None for undone in store.read(user, Log(number=event.undoes)))


def _undoable(event: Event) -> Event:
    if event.action in FINAL:
        raise UsageError(
            f"Write {event.number} was a {event.action}: what is forgotten cannot be brought back.",
            hint="An earlier write can be taken back by its number: `mnemon diff --log`",
        )
    if not event.whole:
        raise UsageError(
            f"Write {event.number} cannot be taken back: some of what it wrote was forgotten since.",
            hint="An earlier write can be taken back by its number: `mnemon diff --log`",
        )
    return event


def inverse(store: MemoryStore, user: str, event: Event) -> list[Operation]:
    """The operations that bring back what was there before the event. Refused when a later write has changed
    the same thing since. Summaries and profiles that were made of what goes, go with it."""
    now = present(store, user, [change.reference for change in event.changes])
    operations: list[Operation] = []
    for where, before, after in event.changes:
        if now.get(where) != after:
            raise UsageError(
                f"Write {event.number} cannot be taken back: "
                f"{where.kind} {where.key!r} was changed again since.",
                hint="Take back the later write first: `mnemon diff --log` lists them.",
            )
        operations.append(Remove(where) if before is None else Put(before))
    return [*operations, *_made_of(store, user, event)]


def _made_of(store: MemoryStore, user: str, event: Event) -> list[Operation]:
    gone = {where.key for where, before, _ in event.changes if before is None and where.kind == "episode"}
    own = {change.reference for change in event.changes}
    if not gone:
        return []
    derived = cast(
        list[Session | ProfileVersion],
        [*store.read(user, Select(kind="session")), *store.read(user, Select(kind="profile"))],
    )
    return [
        Remove(reference(one))
        for one in derived
        if reference(one) not in own and not gone.isdisjoint(one.sources)
    ]


def present(store: MemoryStore, user: str, references: Sequence[Reference]) -> dict[Reference, Record]:
    """The records under these addresses, as they are now."""
    wanted = set(references)
    found: dict[Reference, Record] = {}
    for kind in {where.kind for where in wanted}:
        keys = {
            where.key.rpartition("/")[0] if kind == "fact" else where.key
            for where in wanted
            if where.kind == kind
        }
        for record in store.read(user, Select(kind=kind, keys=sorted(keys), revisions=True)):
            found[reference(record)] = record
    return {where: record for where, record in found.items() if where in wanted}


def preview(store: MemoryStore, user: str, operations: Sequence[Operation]) -> list[Change]:
    """What a batch of puts and removals would change; nothing is written."""
    after: dict[Reference, Record | None] = {}
    for operation in operations:
        match operation:
            case Put(record):
                after[reference(record)] = record
            case Remove(where):
                after[where] = None
            case _:
                raise TypeError(f"cannot preview {type(operation).__name__}")
    before = present(store, user, list(after))
    changes = [Change(where, before.get(where), record) for where, record in after.items()]
    return [change for change in changes if change.before != change.after]


def snapshot(store: MemoryStore, user: str) -> Snapshot:
    """Everything consolidation reads. The head is read first: what is written meanwhile makes the applying of
    what follows from this a conflict."""
    head: Head = store.read(user, HeadOf())
    sessions = cast(list[Session], store.read(user, Select(kind="session")))
    suppressed = store.read(user, Select(kind="suppression"))
    return Snapshot(
        head=head,
        episodes=cast(list[Episode], store.read(user, Select(kind="episode"))),
        facts=cast(list[Fact], store.read(user, Select(kind="fact"))),
        sessions={one.id: one.summary for one in sessions},
        summary_sources={one.id: one.sources for one in sessions},
        suppressed=frozenset(record.id for record in suppressed),
    )
