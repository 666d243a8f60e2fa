"""One batch of operations as SQL, and the reader of every query: the same for each database that has these
tables.

A batch is one transaction and one event; the event log keeps the image before each change, which is all that
diff and undo need. Knows rows and addresses; what the records mean is decided above.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from mnemon.errors import UsageError
from mnemon.memory import sql_reads, sql_vectors
from mnemon.memory.codec import to_microseconds
from mnemon.memory.records import Episode, Record, Reference, reference
from mnemon.memory.seams import (
    BlobNamed,
    Change,
    ChangedAfter,
    ConflictError,
    DropVectors,
    Erase,
    Event,
    Forget,
    HeadOf,
    Images,
    KeepBlob,
    KeepVectors,
    Log,
    Operation,
    Put,
    Query,
    Remove,
    Select,
    TotalsOf,
    VectorsOf,
)
from mnemon.memory.sql_rows import (
    COLUMNS,
    Address,
    Connection,
    Row,
    address_of,
    from_row,
    placed,
    to_image,
    to_row,
)

T = TypeVar("T")


def answer(connection: Connection, user: str, query: Query[T]) -> T:
    """The answer to a query, inside a snapshot that the store has opened."""
    reader = _READERS.get(type(query))
    if reader is None:
        raise UsageError(f"unknown query {query!r}; expected one of mnemon.memory.seams")
    return cast(T, reader(connection, user, query))


_READERS: Mapping[type[Query[Any]], Callable[[Connection, str, Any], object]] = {
    Select: sql_reads.select,
    HeadOf: sql_reads.head,
    Log: sql_reads.log,
    Images: sql_reads.images,
    ChangedAfter: sql_reads.changed_after,
    TotalsOf: sql_reads.totals,
    VectorsOf: sql_vectors.read,
    BlobNamed: sql_reads.blob,
}


_DELETE = "DELETE FROM records WHERE person = ? AND kind = ? AND id = ? AND revision = ?"
_UPDATE = (
    "UPDATE records SET session = ?, place = ?, time = ?, recorded = ?, superseded = ?, body = ? "
    "WHERE person = ? AND kind = ? AND id = ? AND revision = ?"
)
_INSERT = f"INSERT INTO records(person, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Batch:
    """One transaction's work for one person."""

    def __init__(self, connection: Connection, user: str, *, at: datetime, action: str) -> None:
        self._connection = connection
        self._user = user
        self._at = at
        self._action = action
        person = sql_reads.person(connection, user)
        self._person = None if person is None else person.number
        # Nobody's epoch is nobody's: what was derived of one who was erased meanwhile is not kept.
        self._version, self._epoch = (0, -1) if person is None else person.head
        self._changes: dict[Address, tuple[Row | None, Row | None]] = {}  # before the batch, now
        self._stored: dict[Address, Row | None] = {}  # what the table holds
        self._rows: dict[Address, Row | None] = {}  # and what it is to hold
        self._places: dict[str | bytes, int] = {}
        self._forgot = False
        self.erased = False

    @property
    def left_traces(self) -> bool:
        return self._forgot or self.erased

    def run(self, operations: Iterable[Operation], *, if_version: int | None, undoes: int | None) -> Event:
        if if_version is not None and if_version != self._version:
            raise ConflictError(f"expected version {if_version}, found {self._version}")
        listed = list(operations)
        self._load([address_of(where) for one in listed if (where := _touched(one)) is not None])
        for operation in listed:
            self._apply(operation)
        self._flush()
        return self._finish(undoes)

    def _apply(self, operation: Operation) -> None:
        match operation:
            case Put(record):
                self._put(record)
            case Remove(where):
                self._write(address_of(where), None)
            case Forget():
                self._forget(operation)
            case Erase():
                self._erase()
            case KeepVectors(epoch=epoch) | KeepBlob(epoch=epoch) if epoch not in (None, self._epoch):
                return
            case KeepVectors():
                sql_vectors.keep(self._connection, self._number(), operation)
            case DropVectors(model):
                sql_vectors.drop(self._connection, self._number(), model, None)
            case KeepBlob(name, body, _):
                self._blob(name, body)

    def _finish(self, undoes: int | None) -> Event:
        """Write the event, if anything that counts has happened, and say what it was."""
        changed = {address: pair for address, pair in self._changes.items() if pair[0] != pair[1]}
        if self.erased or not (changed or self._forgot):
            return Event(number=self._version, at=self._at, action=self._action)
        person, number = self._number(), self._version + 1
        run = self._connection.execute
        run(
            "UPDATE persons SET version = ?, epoch = epoch + ? WHERE number = ?",
            (number, int(self._forgot), person),
        )
        run(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, NULL, 1)",
            (person, number, to_microseconds(self._at), self._action, undoes),
        )
        if undoes is not None:
            run("UPDATE events SET undone_by = ? WHERE person = ? AND number = ?", (number, person, undoes))
        self._connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)",
            (
                (person, number, *address, None if before is None else to_image(before))
                for address, (before, _) in changed.items()
            ),
        )
        return Event(
            number=number,
            at=self._at,
            action=self._action,
            undoes=undoes,
            changes=tuple(_change(address, *pair) for address, pair in changed.items()),
        )

    # --- one operation each

    def _put(self, record: Record) -> None:
        address = address_of(reference(record))
        row = to_row(record)
        if isinstance(record, Episode):
            if self._row(address) is not None:
                return
            row = placed(row, self._place(row, record.position))
        self._write(address, row)

    def _place(self, row: Row, wished: int) -> int:
        assert row.session is not None
        following = self._places.get(row.session)
        if following is None:
            self._flush()
            last = self._connection.execute(
                "SELECT max(place) FROM records WHERE person = ? AND kind = 1 AND session = ?",
                (self._number(), row.session),
            ).fetchone()[0]
            following = 0 if last is None else last + 1
        place = following
        if 0 <= wished < following:
            self._flush()
            taken = self._connection.execute(
                "SELECT 1 FROM records WHERE person = ? AND kind = 1 AND session = ? AND place = ?",
                (self._number(), row.session, wished),
            ).fetchone()
            place = following if taken else wished
        elif wished > following:
            place = wished
        self._places[row.session] = max(following, place + 1)
        return place

    def _row(self, address: Address) -> Row | None:
        if address not in self._rows:
            self._load([address])
        return self._rows[address]

    def _load(self, addresses: Sequence[Address]) -> None:
        """Read what stands under these addresses, many at once: a server is a journey away."""
        new = [address for address in dict.fromkeys(addresses) if address not in self._rows]
        found: dict[Address, Row | None] = dict.fromkeys(new)
        if self._person is not None:
            for kind in {address.kind for address in new}:
                names = [address.id for address in new if address.kind == kind]
                for values in sql_reads.rows_named(self._connection, self._person, kind, names):
                    address = Address(*values[:3])
                    if address in found:  # and not another revision
                        found[address] = Row(*values[3:])
        self._stored.update(found)
        self._rows.update(found)

    def _write(self, address: Address, row: Row | None) -> None:
        """Set what stands under an address and remember what stood there; `_flush` writes it."""
        before = self._row(address)
        self._rows[address] = row
        first = self._changes[address][0] if address in self._changes else before
        self._changes[address] = (first, row)

    def _flush(self) -> None:
        """Write what was set since the last time, each sort of statement in one go."""
        pending = {address: row for address, row in self._rows.items() if row != self._stored[address]}
        if not pending:
            return
        person = self._number()
        for statement, values in (
            (_DELETE, [(person, *address) for address, row in pending.items() if row is None]),
            (
                _UPDATE,
                [
                    (*row, person, *address)
                    for address, row in pending.items()
                    if row is not None and self._stored[address] is not None
                ],
            ),
            (
                _INSERT,
                [
                    (person, *address, *row)
                    for address, row in pending.items()
                    if row is not None and self._stored[address] is None
                ],
            ),
        ):
            if values:
                self._connection.executemany(statement, values)
        self._stored.update(pending)

    def _forget(self, operation: Forget) -> None:
        gone = [address_of(found) for found in operation.references]
        kept = [(address_of(reference(record)), to_row(record)) for record in operation.rewritten]
        for address in gone:
            self._write(address, None)
        for address, row in kept:
            self._write(address, row)
        marked = [*gone, *(address for address, _ in kept)]
        for address in marked:
            del self._changes[address]
        self._drop_images([*marked, *map(address_of, operation.images)])
        sql_vectors.drop(self._connection, self._number(), None, operation.hashes)
        # Snapshots and heads may hold the words in forms that nobody can look into; they are derived.
        self._connection.execute("DELETE FROM blobs WHERE person = ?", (self._number(),))
        self._forgot = True

    def _drop_images(self, addresses: Sequence[Address]) -> None:
        """One pass over the log, however many addresses there are."""
        run = self._connection.execute
        columns = "kind INTEGER, id TEXT, revision INTEGER, PRIMARY KEY (kind, id, revision)"
        run(f"CREATE TEMP TABLE dropped ({columns})")
        self._connection.executemany("INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO NOTHING", addresses)
        hit = "person = ? AND (kind, id, revision) IN (SELECT kind, id, revision FROM dropped)"
        run(
            "UPDATE events SET whole = 0 "
            f"WHERE person = ? AND number IN (SELECT event FROM changes WHERE {hit})",
            (self._number(), self._number()),
        )
        run(f"DELETE FROM changes WHERE {hit}", (self._number(),))
        run("DROP TABLE dropped")

    def _erase(self) -> None:
        if self._person is None:
            return
        for table in ("changes", "events", "records", "vectors", "blobs"):
            self._connection.execute(f"DELETE FROM {table} WHERE person = ?", (self._person,))
        self._connection.execute("DELETE FROM persons WHERE number = ?", (self._person,))
        self._person, self._version, self.erased = None, 0, True
        for noted in (self._changes, self._rows, self._stored, self._places):
            noted.clear()

    def _blob(self, name: str, body: bytes | None) -> None:
        self._connection.execute("DELETE FROM blobs WHERE person = ? AND name = ?", (self._number(), name))
        if body is not None:
            self._connection.execute("INSERT INTO blobs VALUES (?, ?, ?)", (self._number(), name, body))

    def _number(self) -> int:
        if self._person is None:
            # A random epoch: a person erased and begun again is not mistaken for the one before.
            (number,) = self._connection.execute(
                'INSERT INTO persons("user", version, epoch) VALUES (?, 0, ?) RETURNING number',
                (self._user, random.SystemRandom().getrandbits(53)),
            ).fetchone()
            self._person = int(number)
        return self._person


def _touched(operation: Operation) -> Reference | None:
    """The record that an operation is about to set."""
    match operation:
        case Put(record):
            return reference(record)
        case Remove(where):
            return where
        case _:
            return None


def _change(address: Address, before: Row | None, after: Row | None) -> Change:
    return Change(
        address.reference(),
        None if before is None else from_row(address, before),
        None if after is None else from_row(address, after),
    )
