"""Moving people from one store to another, of whichever kind: every record and its embeddings, in batches
that are there or not, then compared by the hash of their content.

A run that was cut off goes on where it stopped; a second run writes nothing. The log of writes stays behind,
so what was done before cannot be undone in the new place; indexes are made again there.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from mnemon.errors import DataError
from mnemon.memory.codec import to_plain
from mnemon.memory.records import Record, Reference, reference
from mnemon.memory.seams import DropVectors, KeepVectors, MemoryStore, Put, Select, TotalsOf, VectorsOf
from mnemon.memory.transfer import FILES

AT_ONCE = 500  # records in one transaction
VECTORS_AT_ONCE = 4096

Progress = Callable[[int, int], None]  # records done, records in all


@dataclass(frozen=True, kw_only=True)
class Moved:
    """One person: what was there already, what was written, and the hash both sides have now."""

    user: str
    records: int
    written: int
    vectors: int
    digest: str


def move(
    source: MemoryStore,
    target: MemoryStore,
    *,
    users: Sequence[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Moved]:
    """Copy people; the source is only read. `DataError` where the target holds something else of a person."""
    known = source.users()
    chosen = known if users is None else list(users)
    if strangers := sorted(set(chosen) - set(known)):
        raise DataError(f"Nobody is called {strangers[0]!r} there.", hint=f"There are: {', '.join(known)}.")
    sizes = [sum(source.read(user, TotalsOf()).records.values()) for user in chosen]
    total = sum(sizes)
    moved: list[Moved] = []
    for place, user in enumerate(chosen):
        before = sum(sizes[:place])

        def advance(count: int, before: int = before) -> None:
            if progress is not None:
                progress(min(before + count, total), total)

        moved.append(_move_person(source, target, user, dry_run=dry_run, advance=advance))
        advance(sizes[place])
    return moved


def _move_person(
    source: MemoryStore, target: MemoryStore, user: str, *, dry_run: bool, advance: Callable[[int], None]
) -> Moved:
    ours, theirs = _records(source, user), _records(target, user)
    foreign = [where for where, record in theirs.items() if ours.get(where) != record]
    if foreign:
        raise DataError(
            f"The target holds {len(foreign)} records of {user!r} that the source does not, "
            f"or holds otherwise; the first is the {foreign[0].kind} {foreign[0].key!r}.",
            hint="It was written to since. Move to an empty memory, or `mnemon export` and `mnemon import`.",
        )
    absent = [record for where, record in ours.items() if where not in theirs]
    written = 0
    if not dry_run:
        rest = iter(absent)
        while some := list(islice(rest, AT_ONCE)):
            target.apply(user, [Put(record) for record in some], action="migrate", at=datetime.now(UTC))
            written += len(some)
            advance(len(theirs) + written)
    vectors = 0 if dry_run else _move_vectors(source, target, user)
    digest = digest_of(ours)
    if not dry_run and digest_of(_records(target, user)) != digest:
        raise DataError(
            f"What arrived of {user!r} is not what was sent.",
            hint="Somebody may be writing to one of the two. Stop that and run the command again.",
        )
    return Moved(
        user=user,
        records=len(ours),
        written=len(absent) if dry_run else written,
        vectors=vectors,
        digest=digest,
    )


def _records(store: MemoryStore, user: str) -> dict[Reference, Record]:
    """Everything of a person, facts in all their revisions; turns before what was made of them."""
    return {
        reference(record): record
        for kind in FILES.values()
        for record in store.read(user, Select(kind=kind, revisions=True))
    }


def _move_vectors(source: MemoryStore, target: MemoryStore, user: str) -> int:
    """Embeddings could be computed again; copying them saves the time."""
    copied = 0
    for model in source.read(user, TotalsOf()).vectors:
        hashes, vectors = source.read(user, VectorsOf(model))
        there = set(target.read(user, VectorsOf(model)).hashes)
        places = [place for place, name in enumerate(hashes) if name not in there]
        for start in range(0, len(places), VECTORS_AT_ONCE):
            some = places[start : start + VECTORS_AT_ONCE]
            keep = KeepVectors(model, [hashes[place] for place in some], vectors[some])
            target.apply(user, [keep], action="embed", at=datetime.now(UTC))
            copied += len(some)
        if copied:
            _only_once(target, user, model)
    return copied


def _only_once(store: MemoryStore, user: str, model: str) -> None:
    """Another run may have copied the same at the same time."""
    hashes, vectors = store.read(user, VectorsOf(model))
    first = list({name: place for place, name in reversed(list(enumerate(hashes)))}.values())
    if len(first) < len(hashes):
        keep = KeepVectors(model, [hashes[place] for place in first], vectors[first])
        store.apply(user, [DropVectors(model), keep], action="embed", at=datetime.now(UTC))


def digest_of(records: dict[Reference, Record]) -> str:
    """A hash of all that the records say, whatever order they came in."""
    digest = hashlib.sha256()
    for where in sorted(records):
        line = json.dumps([*where, to_plain(records[where])], sort_keys=True, allow_nan=False)
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()
