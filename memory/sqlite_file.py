"""One SQLite file: whether it is ours and sound, its migrations and backups, its connections, its
transactions.

WAL and `synchronous=FULL`: a commit is on the disk when it returns, readers never wait. `secure_delete`
overwrites what is deleted. Knows no records.
"""

import os
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mnemon.errors import StoreError, UsageError
from mnemon.memory.sqlite_schema import APPLICATION_ID, MIGRATIONS, Migration
from mnemon.sqlite_log import use_log

BUSY_SECONDS = 60.0
IDLE_CONNECTIONS = 8
_MAGIC = b"SQLite format 3\x00"
_DAMAGED_HINT = (
    "It was left untouched. Restore a backup ({name}.backup-* beside it, if there is one) or an export, "
    "or open another file with --db."
)


class SqliteFile:
    def __init__(self, path: Path | None, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """`path` None is a database in memory. Opening creates, checks and migrates."""
        self.path = path
        self._migrations = migrations
        self._idle: list[sqlite3.Connection] = []
        self._open: list[sqlite3.Connection] = []
        self._pool_lock = threading.Lock()
        self._writer = threading.RLock()  # threads queue here, not at SQLite's busy handler
        self._memory = threading.RLock()
        self._owner = os.getpid()
        self.closed = False
        try:
            if path is not None:
                _check_header(path, len(migrations))
                _make_folder(path.parent)
            with self.reading() as connection:
                self._prepare(connection)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        return ":memory:" if self.path is None else str(self.path)

    # --- connections and transactions

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection with no transaction open."""
        connection = self._take()
        try:
            yield connection
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of ours, not of the file
        except sqlite3.Error as error:
            raise self._explain(error) from error
        finally:
            self._give(connection)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection on one consistent state."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on the disk when the block ends, undone when it raises."""
        with self._writer, self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        with self._pool_lock:
            self.closed = True
            if self._owner == os.getpid():
                for connection in self._open:
                    connection.close()
            self._open.clear()
            self._idle.clear()

    def _take(self) -> sqlite3.Connection:
        if self.path is None:
            self._memory.acquire()
        with self._pool_lock:
            if self._owner != os.getpid():  # SQLite's connections must not cross a fork
                self._idle, self._open, self._owner = [], [], os.getpid()
            if self.closed:
                self._release_memory()
                raise UsageError(
                    f"The memory {self.name!r} is closed.", hint="Open it again: Memory.open(...)."
                )
            if self._idle:
                return self._idle.pop()
        try:
            connection = self._connect()
        except BaseException:
            self._release_memory()
            raise
        with self._pool_lock:
            self._open.append(connection)
        return connection

    def _give(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if self.closed or (self.path is not None and len(self._idle) >= IDLE_CONNECTIONS):
                if connection in self._open:
                    self._open.remove(connection)
                connection.close()
            else:
                self._idle.append(connection)
        self._release_memory()

    def _release_memory(self) -> None:
        if self.path is None:
            self._memory.release()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                ":memory:" if self.path is None else self.path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -16000")
            connection.execute("PRAGMA temp_store = MEMORY")  # nothing of anybody in a temporary file
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return connection

    def _explain(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreError(
                f"The memory {self.name!r} was busy for {BUSY_SECONDS:.0f} seconds; nothing was written.",
                hint="Another process is holding it; end that one or try again.",
            )
        if code.startswith("SQLITE_FULL"):
            return StoreError(
                f"The disk of {self.name!r} is full; nothing was written.",
                hint="Free some space and try again.",
            )
        if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")):
            return StoreError(
                f"The memory {self.name!r} cannot be opened or written: {error}.",
                hint="Check that the folder exists and you may write to it, or choose another with --db.",
            )
        hint = _DAMAGED_HINT.format(name=Path(self.name).name)
        return StoreError(f"The memory {self.name!r} is damaged: {error}.", hint=hint)

    # --- creation and migration

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version, application, tables = _stamps(connection)
        if version == len(self._migrations) and application == APPLICATION_ID:
            return
        if tables and application != APPLICATION_ID:
            raise _foreign(self.name)
        if version > len(self._migrations):
            raise _newer(self.name, version, len(self._migrations))
        if self.path is not None:
            use_log(connection, seconds=BUSY_SECONDS)
            if version:
                self._back_up(connection, version)
        with self._writer:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._migrate(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version, _, _ = _stamps(connection)  # another process may have been first
        for number, migration in enumerate(self._migrations[version:], version + 1):
            migration.apply(connection)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?, ?)",
                (number, migration.name, datetime.now(UTC).isoformat(timespec="seconds")),
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _back_up(self, connection: sqlite3.Connection, version: int) -> Path:
        assert self.path is not None
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        target = self.path.with_name(f"{self.path.name}.backup-v{version}-{stamp}-{os.getpid()}")
        copy = sqlite3.connect(target)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        return target

    def backups(self) -> list[Path]:
        """The copies that migrations made beside the file."""
        if self.path is None:
            return []
        # Not `glob`: the file's name may hold its special characters.
        prefix = f"{self.path.name}.backup-v"
        return sorted(found for found in self.path.parent.iterdir() if found.name.startswith(prefix))

    # --- leaving no trace

    def scrub(self, *, seconds: float = BUSY_SECONDS) -> None:
        """After deleting: rebuild the file without the slack that may hold old bytes and empty the log."""
        with self._writer, self.reading() as connection:
            connection.execute("VACUUM")
            if self.path is None:
                return
            deadline = time.monotonic() + seconds
            connection.execute("PRAGMA busy_timeout = 50")
            try:
                while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > deadline:
                        raise StoreError(
                            f"The rows are deleted, but another process keeps reading {self.name!r}, so that "
                            "its log still holds their bytes.",
                            hint="End that process, then `mnemon verify --repair` empties the log.",
                        )
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")

    def integrity(self) -> list[str]:
        """SQLite's own report of damage; empty when sound."""
        with self.reading() as connection:
            lines: list[str] = []
            try:
                lines += [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
                lines += [
                    f"dangling row in {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")
                ]
            except sqlite3.DatabaseError as error:  # too damaged to be checked to the end
                lines.append(str(error))
        return [line for line in lines if line != "ok"]

    def size(self) -> int:
        if self.path is None:
            with self.reading() as connection:
                pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
                page: int = connection.execute("PRAGMA page_size").fetchone()[0]
            return pages * page
        log = self.path.with_name(self.path.name + "-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _stamps(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Schema version, application and number of tables, read as of one moment."""
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if alone:
        connection.execute("ROLLBACK")
    return version, application, tables


def _foreign(name: str) -> StoreError:
    return StoreError(
        f"The file {name!r} is not a memory of mnemon.",
        hint="It was left untouched. Choose another file with --db.",
    )


def _newer(name: str, version: int, known: int) -> StoreError:
    return StoreError(
        f"The memory {name!r} was written by a newer mnemon (schema {version}, this one knows {known}).",
        hint="It was left untouched. Upgrade mnemon: pip install --upgrade mnemon",
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {str(folder)!r} cannot be made: {error.strerror}.", hint="Choose another with --db."
        ) from error


def _check_header(path: Path, known: int) -> None:
    """Refuse a foreign, newer or cut-off file from its first bytes, before SQLite may write beside it."""
    try:
        if path.is_dir():
            raise StoreError(
                f"{str(path)!r} is a folder, expected a file.", hint="Name a file in it: --db people.db"
            )
        if not path.exists() or path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            header = file.read(100)
        size = path.stat().st_size
    except OSError as error:
        raise StoreError(
            f"The memory {str(path)!r} cannot be read: {error.strerror}.",
            hint="Check its permissions, or choose another file with --db.",
        ) from error
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise _foreign(str(path))
    (page_size,) = struct.unpack(">H", header[16:18])
    pages, version, application = (struct.unpack(">I", header[at : at + 4])[0] for at in (28, 60, 68))
    new = application == 0 and version == 0 and pages <= 1  # created a moment ago, by another process
    if application != APPLICATION_ID and not new:
        raise _foreign(str(path))
    if version > known:
        raise _newer(str(path), version, known)
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        return  # the last pages may stand in the log
    if size < pages * (65536 if page_size == 1 else page_size):
        raise StoreError(
            f"The memory {str(path)!r} is damaged: it ends after {size} bytes, in the middle of its pages.",
            hint=_DAMAGED_HINT.format(name=path.name),
        )
