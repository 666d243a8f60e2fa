"""The queries of the stores that speak SQL, one function each. They only read, inside a snapshot that the
store has opened."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from mnemon.memory.codec import from_microseconds, pack, to_microseconds
from mnemon.memory.records import Record, Reference
from mnemon.memory.seams import (
    BlobNamed,
    CatchUp,
    Change,
    ChangedAfter,
    Event,
    Head,
    HeadOf,
    Images,
    Log,
    Select,
    Totals,
    TotalsOf,
)
from mnemon.memory.sql_rows import (
    CODES,
    COLUMNS,
    KINDS,
    Address,
    Connection,
    Row,
    Stored,
    from_image,
    from_row,
)

_KEYS_AT_ONCE = 400  # below SQLite's smallest limit on parameters


class Person(NamedTuple):
    number: int
    head: Head


def person(connection: Connection, user: str) -> Person | None:
    found = connection.execute(
        'SELECT number, version, epoch FROM persons WHERE "user" = ?', (user,)
    ).fetchone()
    return None if found is None else Person(found[0], Head(found[1], found[2]))


def head(connection: Connection, user: str, query: HeadOf) -> Head:  # noqa: ARG001
    known = person(connection, user)
    return Head(0, 0) if known is None else known.head


def select(connection: Connection, user: str, query: Select) -> list[Record]:
    known = person(connection, user)
    if known is None:
        return []
    conditions = ["person = ?", "kind = ?"]
    values: list[object] = [known.number, CODES[query.kind]]

    def also(condition: str, value: object) -> None:
        conditions.append(condition)
        values.append(value)

    if query.session is not None:
        also("session = ?", pack(query.session))
    if query.since is not None:
        also("time >= ?", to_microseconds(query.since))
    if query.until is not None:
        also("time < ?", to_microseconds(query.until))
    if query.known_at is not None:
        also("recorded <= ?", to_microseconds(query.known_at))
        also("(superseded IS NULL OR superseded > ?)", to_microseconds(query.known_at))
    elif query.kind == "fact" and not query.revisions:
        conditions.append("superseded IS NULL")
    runs = [None] if query.keys is None else list(_runs([pack(key) for key in dict.fromkeys(query.keys)]))
    found = [row for run in runs for row in _rows(connection, conditions, values, run, query)]
    if len(runs) > 1:
        found.sort(key=_order, reverse=query.newest_first)
        found = found[: query.limit]
    return [from_row(Address(*row[:3]), Row(*row[3:])) for row in found]


def _rows(
    connection: Connection,
    conditions: Sequence[str],
    values: Sequence[object],
    keys: Sequence[Stored] | None,
    query: Select,
) -> list[tuple[Any, ...]]:
    where = " AND ".join(conditions)
    parameters = list(values)
    if keys is not None:
        where += f" AND id IN ({', '.join('?' * len(keys))})"
        parameters += keys
    # Said in full, because databases differ in where nothing stands.
    way = "DESC NULLS LAST" if query.newest_first else "ASC NULLS FIRST"
    order = ", ".join(f"{column} {way}" for column in ("time", "session", "place", "id", "revision"))
    statement = f"SELECT {COLUMNS} FROM records WHERE {where} ORDER BY {order}"
    if query.limit is not None:
        statement += " LIMIT ?"
        parameters.append(max(0, query.limit))
    return connection.execute(statement, parameters).fetchall()


def rows_named(
    connection: Connection, person: int, kind: int, names: Sequence[Stored]
) -> Iterator[tuple[Any, ...]]:
    """The rows of one kind under these ids, in all revisions."""
    for run in _runs(names):
        marks = ", ".join("?" * len(run))
        statement = f"SELECT {COLUMNS} FROM records WHERE person = ? AND kind = ? AND id IN ({marks})"
        yield from connection.execute(statement, (person, kind, *run)).fetchall()


def _order(row: tuple[object, ...]) -> tuple[object, ...]:
    """The order of the columns above: nothing first, then numbers, text, bytes."""
    _, name, revision, session, place, time = row[:6]
    return (
        *_ranked(time),
        *_ranked(session),
        *_ranked(place),
        *_ranked(name),
        *_ranked(revision),
    )


def _ranked(value: object) -> tuple[int, object]:
    if value is None:
        return (0, 0)
    if isinstance(value, int):
        return (1, value)
    return (2, value.encode("utf-8")) if isinstance(value, str) else (3, value)


def _runs(keys: Sequence[Stored]) -> Iterator[list[Stored]]:
    rest = iter(keys)
    while run := list(islice(rest, _KEYS_AT_ONCE)):
        yield run


def log(connection: Connection, user: str, query: Log) -> list[Event]:
    known = person(connection, user)
    if known is None:
        return []
    statement = "SELECT number, at, action, undoes, undone_by, whole FROM events WHERE person = ?"
    values: list[object] = [known.number]
    if query.number is not None:
        statement += " AND number = ?"
        values.append(query.number)
    rows = connection.execute(statement + " ORDER BY number DESC LIMIT ?", (*values, query.limit)).fetchall()
    return [
        Event(
            number=number,
            at=from_microseconds(at),
            action=action,
            changes=tuple(_changes(connection, known.number, number)),
            undoes=undoes,
            undone_by=undone_by,
            whole=bool(whole),
        )
        for number, at, action, undoes, undone_by, whole in rows
    ]


def images(connection: Connection, user: str, query: Images) -> list[Record]:  # noqa: ARG001
    known = person(connection, user)
    if known is None:
        return []
    rows = connection.execute(
        "SELECT kind, id, revision, before FROM changes WHERE person = ? AND before IS NOT NULL",
        (known.number,),
    )
    return [from_row(Address(*row[:3]), from_image(row[3])) for row in rows]


def _changes(connection: Connection, number: int, event: int) -> Iterator[Change]:
    rows = connection.execute(
        "SELECT kind, id, revision, before FROM changes WHERE person = ? AND event = ?", (number, event)
    ).fetchall()
    for kind, name, revision, before in rows:
        address = Address(kind, name, revision)
        yield Change(
            address.reference(),
            None if before is None else from_row(address, from_image(before)),
            _after(connection, number, event, address),
        )


def _after(connection: Connection, number: int, event: int, address: Address) -> Record | None:
    following = connection.execute(
        "SELECT before FROM changes WHERE person = ? AND event > ? AND kind = ? AND id = ? AND revision = ? "
        "ORDER BY event LIMIT 1",
        (number, event, *address),
    ).fetchone()
    if following is not None:
        return None if following[0] is None else from_row(address, from_image(following[0]))
    return _now(connection, number, address)


def _now(connection: Connection, number: int, address: Address) -> Record | None:
    found = connection.execute(
        "SELECT session, place, time, recorded, superseded, body FROM records "
        "WHERE person = ? AND kind = ? AND id = ? AND revision = ?",
        (number, *address),
    ).fetchone()
    return None if found is None else from_row(address, Row(*found))


def changed_after(connection: Connection, user: str, query: ChangedAfter) -> CatchUp:
    known = person(connection, user)
    if known is None:
        return CatchUp(Head(0, 0), [], [])
    codes = [CODES[kind] for kind in query.kinds]
    addresses = [
        Address(*row)
        for row in connection.execute(
            "SELECT DISTINCT kind, id, revision FROM changes WHERE person = ? AND event > ? "
            f"AND kind IN ({', '.join('?' * len(codes))})",
            (known.number, query.version, *codes),
        )
    ]
    present: list[Record] = []
    gone: list[Reference] = []
    for address in addresses:
        record = _now(connection, known.number, address)
        if record is None:
            gone.append(address.reference())
        else:
            present.append(record)
    return CatchUp(known.head, present, gone)


def totals(connection: Connection, user: str, query: TotalsOf) -> Totals:  # noqa: ARG001
    known = person(connection, user)
    if known is None:
        return Totals(records={}, sessions=0, events=0, vectors={}, first=None, last=None)
    number = known.number
    counts = connection.execute(
        "SELECT kind, count(DISTINCT id) FROM records WHERE person = ? GROUP BY kind", (number,)
    ).fetchall()
    sessions, first, last = connection.execute(
        "SELECT count(DISTINCT session), min(time), max(time) FROM records WHERE person = ? AND kind = 1",
        (number,),
    ).fetchone()
    events = connection.execute("SELECT count(*) FROM events WHERE person = ?", (number,)).fetchone()[0]
    vectors = connection.execute(
        "SELECT model, sum(count) FROM vectors WHERE person = ? GROUP BY model ORDER BY model", (number,)
    ).fetchall()
    return Totals(
        records={KINDS[kind]: count for kind, count in counts},
        sessions=sessions,
        events=events,
        vectors=dict(vectors),
        first=None if first is None else from_microseconds(first),
        last=None if last is None else from_microseconds(last),
    )


def blob(connection: Connection, user: str, query: BlobNamed) -> bytes | None:
    known = person(connection, user)
    if known is None:
        return None
    found = connection.execute(
        "SELECT body FROM blobs WHERE person = ? AND name = ?", (known.number, query.name)
    ).fetchone()
    return None if found is None else bytes(found[0])
