"""One row per record: which of its fields are columns, and its body.

A column is what a query filters or sorts by; it is left out of the body where it says the same exactly, so
that a short turn costs few bytes. `Connection` is all that the SQL beside this asks of a database.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from mnemon.errors import StoreError
from mnemon.memory.codec import dump, from_microseconds, from_plain, pack, to_microseconds, to_plain, unpack
from mnemon.memory.records import Episode, Fact, Record, RecordKind, Reference, Session

CODES: dict[RecordKind, int] = {
    "episode": 1,
    "session": 2,
    "fact": 3,
    "profile": 4,
    "feedback": 5,
    "suppression": 6,
    "item": 7,
}
KINDS: dict[int, RecordKind] = {code: kind for kind, code in CODES.items()}

Stored = str | bytes


class Cursor(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A transaction of a database that reads `?` as a parameter's place, as `sqlite3.Connection` does."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...


class Address(NamedTuple):
    """The key of a row inside one person: kind, id and, for facts, the revision."""

    kind: int
    id: Stored
    revision: int

    def reference(self) -> Reference:
        kind = KINDS[self.kind]
        name = unpack(self.id)
        return Reference(kind, f"{name}/{self.revision}" if kind == "fact" else name)


class Row(NamedTuple):
    """What is stored under an address; also the image of it that the event log keeps."""

    session: Stored | None
    place: int | None
    time: int | None  # microseconds since 1970, UTC
    recorded: int | None
    superseded: int | None
    body: Stored


COLUMNS = "kind, id, revision, session, place, time, recorded, superseded, body"


def address_of(reference: Reference) -> Address:
    if reference.kind != "fact":
        return Address(CODES[reference.kind], pack(reference.key), 0)
    name, _, revision = reference.key.rpartition("/")
    return Address(CODES["fact"], pack(name), int(revision))


def to_row(record: Record) -> Row:
    plain = to_plain(record)
    plain.pop("id")
    plain.pop("revision", None)
    session: Stored | None = None
    place: int | None = None
    time: int | None = None
    superseded: int | None = None
    if isinstance(record, Episode):
        session, place, time = pack(record.session), record.position, to_microseconds(record.time)
        plain.pop("session", None)
        plain.pop("position", None)
        if not record.time.utcoffset():
            plain.pop("time")
    elif isinstance(record, Fact):
        superseded = None if record.superseded_at is None else to_microseconds(record.superseded_at)
        time = None if record.valid_from is None else to_microseconds(record.valid_from)
        plain.pop("superseded_at", None)
    elif isinstance(record, Session):
        time = None if record.started is None else to_microseconds(record.started)
    recorded = None if record.recorded_at is None else to_microseconds(record.recorded_at)
    plain.pop("recorded_at", None)
    return Row(session, place, time, recorded, superseded, pack(dump(plain)))


def from_row(address: Address, row: Row) -> Record:
    """The record of a row. A row that is none was damaged: `StoreError`."""
    kind = KINDS[address.kind]
    name = unpack(address.id)
    if kind == "episode":
        return _episode(name, row)
    plain = _body(name, row)
    plain["id"] = name
    if kind == "fact":
        plain["revision"] = address.revision
        if row.superseded is not None:
            plain["superseded_at"] = from_microseconds(row.superseded).isoformat()
    if row.recorded is not None:
        plain["recorded_at"] = from_microseconds(row.recorded).isoformat()
    return from_plain(kind, plain)


def placed(row: Row, place: int) -> Row:
    return row._replace(place=place)


def _episode(name: str, row: Row) -> Episode:
    # The hot one: a hundred thousand of these are read when a person's index is built.
    plain = _body(name, row)
    said = plain.pop("time", None)
    try:
        return Episode(
            id=name,
            time=datetime.fromisoformat(said) if said else from_microseconds(row.time or 0),
            session=unpack(row.session or ""),
            position=row.place or 0,
            recorded_at=from_microseconds(row.recorded or 0),
            **plain,
        )
    except (TypeError, ValueError) as error:
        raise _damaged(name, str(error)) from error


def _body(name: str, row: Row) -> dict[str, Any]:
    try:
        plain = json.loads(unpack(row.body))
    except ValueError as error:
        raise _damaged(name, str(error)) from error
    if not isinstance(plain, dict):
        raise _damaged(name, "it holds no record")
    return plain


def _damaged(name: str, reason: str) -> StoreError:
    return StoreError(
        f"The row {name!r} is damaged: {reason}.",
        hint="See what else is with `mnemon verify`; restore a backup if you have one.",
    )


def to_image(row: Row) -> Stored:
    return pack(
        json.dumps([unpack(part) if isinstance(part, bytes) else part for part in row], ensure_ascii=False)
    )


def from_image(image: Stored) -> Row:
    session, place, time, recorded, superseded, body = json.loads(unpack(image))
    return Row(None if session is None else pack(session), place, time, recorded, superseded, pack(body))
