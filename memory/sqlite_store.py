"""`MemoryStore` on one SQLite file: the default. The transactions are here; what is done in them is in
`sql_batch` and `sql_reads`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from mnemon.memory.seams import Event, Operation, Query
from mnemon.memory.sql_batch import Batch, answer
from mnemon.memory.sqlite_file import SqliteFile
from mnemon.memory.sqlite_schema import MIGRATIONS, Migration

T = TypeVar("T")


class SqliteStore:
    """Open with a path, or None for a database in memory."""

    def __init__(self, path: str | Path | None, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._file = SqliteFile(None if path is None else Path(path), migrations=migrations)
        self._schema = len(migrations)

    # --- writing

    def apply(
        self,
        user: str,
        operations: Sequence[Operation],
        *,
        action: str,
        at: datetime,
        if_version: int | None = None,
        undoes: int | None = None,
    ) -> Event:
        with self._file.writing() as connection:
            batch = Batch(connection, user, at=at, action=action)
            event = batch.run(operations, if_version=if_version, undoes=undoes)
        if batch.left_traces:
            self._leave_no_trace(erased=batch.erased)
        return event

    def _leave_no_trace(self, *, erased: bool) -> None:
        self._file.scrub()
        if erased:
            for backup in self._file.backups():
                backup.unlink(missing_ok=True)

    # --- reading

    def read(self, user: str, query: Query[T]) -> T:
        with self._file.snapshot() as connection:
            return answer(connection, user, query)

    def users(self) -> list[str]:
        with self._file.reading() as connection:
            return [row[0] for row in connection.execute('SELECT "user" FROM persons ORDER BY "user"')]

    def verify(self) -> list[str]:
        return self._file.integrity()

    def scrub(self) -> None:
        """Empty the log and the slack of what was deleted, if an earlier deletion could not."""
        self._file.scrub()

    def describe(self) -> Mapping[str, str | int]:
        return {
            "backend": "sqlite",
            "location": self._file.name,
            "bytes": self._file.size(),
            "schema": self._schema,
            "backups": len(self._file.backups()),
        }

    def close(self) -> None:
        self._file.close()
