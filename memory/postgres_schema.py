"""The tables in Postgres, as append-only named migrations: the same names and columns as in SQLite, so that
the SQL of `sql_batch` and `sql_reads` serves both. A released migration is never edited; a change is the next
one.

Every table is bound to the person whom the transaction names (`mnemon.user`): row-level security, forced on
the tables' owner too. Text that Postgres cannot hold is escaped by the link.
"""

from collections.abc import Callable
from typing import NamedTuple

from mnemon.memory.sql_rows import Connection

SCHEMA = "mnemon"
PARTITIONS = 16  # by person; each has its own indexes, and vacuum passes over one at a time

# The types of the columns of the tables that many rows are written into at once.
ROWS = {
    "records": ("bigint", "integer", "text", "integer", "text", *["bigint"] * 4, "text"),
    "changes": ("bigint", "bigint", "integer", "text", "integer", "text"),
}


class Migration(NamedTuple):
    name: str
    apply: Callable[[Connection], None]


def _m001_records_and_events(connection: Connection) -> None:
    run = connection.execute
    # Identity: the number of an erased person is never given to another.
    run(
        """CREATE TABLE persons (
            number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            "user" TEXT COLLATE "C" NOT NULL UNIQUE,
            version BIGINT NOT NULL,
            epoch BIGINT NOT NULL
        )"""
    )
    # kind: 1 episode, 2 session, 3 fact, 4 profile, 5 feedback, 6 suppression, 7 item. Times: microseconds
    # UTC, because the calendar of timestamptz has other ends than Python's.
    _partitioned(
        connection,
        "records",
        """kind INTEGER NOT NULL,
        id TEXT COLLATE "C" NOT NULL,
        revision INTEGER NOT NULL,
        session TEXT COLLATE "C",
        place BIGINT,
        time BIGINT,
        recorded BIGINT,
        superseded BIGINT,
        body TEXT NOT NULL,
        PRIMARY KEY (person, kind, id, revision)""",
    )
    run("CREATE INDEX records_time ON records (person, kind, time)")
    run("CREATE INDEX records_place ON records (person, session, place) WHERE kind = 1")
    _partitioned(
        connection,
        "events",
        """number BIGINT NOT NULL,
        at BIGINT NOT NULL,
        action TEXT NOT NULL,
        undoes BIGINT,
        undone_by BIGINT,
        whole INTEGER NOT NULL,
        PRIMARY KEY (person, number)""",
    )
    _partitioned(
        connection,
        "changes",
        """event BIGINT NOT NULL,
        kind INTEGER NOT NULL,
        id TEXT COLLATE "C" NOT NULL,
        revision INTEGER NOT NULL,
        before TEXT,
        PRIMARY KEY (person, event, kind, id, revision)""",
    )
    _partitioned(
        connection,
        "vectors",
        """number BIGINT GENERATED ALWAYS AS IDENTITY,
        model TEXT NOT NULL,
        count INTEGER NOT NULL,
        hashes BYTEA NOT NULL,
        vectors BYTEA NOT NULL,
        PRIMARY KEY (person, number)""",
    )
    run("CREATE INDEX vectors_model ON vectors (person, model, count)")
    _partitioned(connection, "blobs", "name TEXT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (person, name)")
    run("ALTER TABLE persons ENABLE ROW LEVEL SECURITY")
    run("ALTER TABLE persons FORCE ROW LEVEL SECURITY")
    run(
        """CREATE POLICY own ON persons
        USING ("user" = current_setting('mnemon.user', true))
        WITH CHECK ("user" = current_setting('mnemon.user', true))"""
    )
    # The names alone, for whoever looks after the database; said by the transaction, never by a request.
    run("CREATE POLICY listed ON persons FOR SELECT USING (current_setting('mnemon.listing', true) = 'on')")


def _partitioned(connection: Connection, table: str, columns: str) -> None:
    run = connection.execute
    run(
        f"CREATE TABLE {table} (person BIGINT NOT NULL REFERENCES persons(number), {columns}) "
        "PARTITION BY HASH (person)"
    )
    for part in range(PARTITIONS):
        run(
            f"CREATE TABLE {table}_{part} PARTITION OF {table} "
            f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
        )
        _bound(connection, f"{table}_{part}")  # a partition can be named directly
    _bound(connection, table)


def _bound(connection: Connection, table: str) -> None:
    own = "person = (SELECT number FROM persons WHERE \"user\" = current_setting('mnemon.user', true))"
    connection.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    connection.execute(f"CREATE POLICY own ON {table} USING ({own}) WITH CHECK ({own})")


def _m002_jobs(connection: Connection) -> None:
    # No row security: a worker takes whatever is next. It holds a name and a task, no words of anybody.
    connection.execute(
        """CREATE TABLE jobs (
            number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            "user" TEXT NOT NULL,
            task TEXT NOT NULL,
            asked TIMESTAMPTZ NOT NULL DEFAULT now(),
            not_before TIMESTAMPTZ NOT NULL DEFAULT now(),
            attempts INTEGER NOT NULL DEFAULT 0,
            failed TEXT NOT NULL DEFAULT ''
        )"""
    )


MIGRATIONS: tuple[Migration, ...] = (
    Migration("m001_records_and_events", _m001_records_and_events),
    Migration("m002_jobs", _m002_jobs),
)
