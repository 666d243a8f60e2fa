"""The tables, as append-only named migrations. A released migration is never edited; a change is the next
one.

`user_version` counts the migrations applied, `application_id` says that the file is ours.
"""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

APPLICATION_ID = 0x6D6E656D  # "mnem"


class Migration(NamedTuple):
    name: str
    apply: Callable[[sqlite3.Connection], None]


def _m001_records_and_events(connection: sqlite3.Connection) -> None:
    for statement in (
        # AUTOINCREMENT: the number of an erased person is never given to another.
        """CREATE TABLE persons (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            user TEXT NOT NULL UNIQUE,
            version INTEGER NOT NULL,  -- events so far
            epoch INTEGER NOT NULL     -- starts at random, grows when something is forgotten
        ) STRICT""",
        # kind: 1 episode, 2 session, 3 fact, 4 profile, 5 feedback, 6 suppression. Times: microseconds UTC.
        # Text that is no valid UTF-8 (lone surrogates) is kept as a blob, hence ANY.
        """CREATE TABLE records (
            number INTEGER PRIMARY KEY,
            person INTEGER NOT NULL REFERENCES persons(number),
            kind INTEGER NOT NULL,
            id ANY NOT NULL,
            revision INTEGER NOT NULL,
            session ANY,
            place INTEGER,
            time INTEGER,
            recorded INTEGER,
            superseded INTEGER,
            body ANY NOT NULL          -- JSON of the fields that are no column
        ) STRICT""",
        "CREATE UNIQUE INDEX records_address ON records(person, kind, id, revision)",
        "CREATE INDEX records_time ON records(person, kind, time)",
        "CREATE INDEX records_place ON records(person, session, place) WHERE kind = 1",
        """CREATE TABLE events (
            person INTEGER NOT NULL REFERENCES persons(number),
            number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            action TEXT NOT NULL,
            undoes INTEGER,
            undone_by INTEGER,
            whole INTEGER NOT NULL,    -- 0: some of its changes were forgotten
            PRIMARY KEY (person, number)
        ) STRICT, WITHOUT ROWID""",
        # The image before each change; the image after it is the next change's, or the row itself.
        """CREATE TABLE changes (
            person INTEGER NOT NULL REFERENCES persons(number),
            event INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            id ANY NOT NULL,
            revision INTEGER NOT NULL,
            before ANY,
            PRIMARY KEY (person, event, kind, id, revision)
        ) STRICT, WITHOUT ROWID""",
        # Derived. Each row is a run of vectors: 16-byte hashes of the texts, float16 values in the same
        # order.
        """CREATE TABLE vectors (
            number INTEGER PRIMARY KEY,
            person INTEGER NOT NULL REFERENCES persons(number),
            model TEXT NOT NULL,
            count INTEGER NOT NULL,
            hashes BLOB NOT NULL,
            vectors BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX vectors_model ON vectors(person, model, count)",
        """CREATE TABLE blobs (
            person INTEGER NOT NULL REFERENCES persons(number),
            name TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (person, name)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL) STRICT",
    ):
        connection.execute(statement)


def _m002_items(connection: sqlite3.Connection) -> None:
    """Records of kind 7, items, fit the tables as they are. The number alone changes: a mnemon that does not
    know them must not open a file that may hold them."""


MIGRATIONS: tuple[Migration, ...] = (
    Migration("m001_records_and_events", _m001_records_and_events),
    Migration("m002_items", _m002_items),
)
