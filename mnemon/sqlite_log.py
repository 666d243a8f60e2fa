"""Turning SQLite's write-ahead log on, where other processes may be doing the same. Knows no table."""

import sqlite3
import time


def use_log(connection: sqlite3.Connection, *, seconds: float) -> None:
    """`seconds` is how long to wait: SQLite's own waiting does not cover this change, and two processes may
    create one file."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
