"""The way to a Postgres server: a pool of connections, each bound to the application's role, transactions
that are tried again when the server went away, and the schema's migrations.

Reads `?` as a parameter's place, like SQLite, and escapes the text that Postgres cannot hold. Knows no
records.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from mnemon.errors import MissingExtra, StoreError, UsageError
from mnemon.memory.codec import Packed, pack, unpack
from mnemon.memory.inputs import without_password
from mnemon.memory.postgres_schema import MIGRATIONS, SCHEMA, Migration
from mnemon.memory.sql_rows import Cursor

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

T = TypeVar("T")

APP_ROLE = "mnemon_app"  # what a login that stands above row-level security becomes
ATTEMPTS = 6  # with waits of 0.1, 0.2, ... seconds: about six seconds for a server to come back
CONNECT_SECONDS = 10
POOL_SIZE = 8
_MIGRATION_LOCK = 0x6D6E656D  # "mnem"
_ESCAPE = "\x01"


class Transaction:
    """A `Connection` for the shared SQL, on one transaction of Postgres."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return _Rows(self._connection.execute(_marked(statement), [_given(one) for one in parameters]))

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(statement), [[_given(one) for one in row] for row in parameters])


class _Rows:
    """A cursor whose text comes back as it was given."""

    def __init__(self, cursor: "psycopg.Cursor[Any]") -> None:
        self._cursor = cursor

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        return None if row is None else tuple(map(_taken, row))

    def fetchall(self) -> list[Any]:
        return [tuple(map(_taken, row)) for row in self._cursor.fetchall()]

    def __iter__(self) -> Any:
        return (tuple(map(_taken, row)) for row in self._cursor)


def _marked(statement: str) -> bytes:
    # Bytes, because the type of a statement that is text wants it written out in the source.
    return statement.replace("?", "%s").encode("utf-8")


def _given(value: object) -> object:
    """Postgres holds neither NUL nor lone surrogates in text: such text is written as hexadecimal digits."""
    if isinstance(value, Packed) or (isinstance(value, str) and ("\0" in value or value.startswith(_ESCAPE))):
        return _ESCAPE + unpack(value).encode("utf-8", "surrogatepass").hex()
    return value


def _taken(value: object) -> object:
    if isinstance(value, str) and value.startswith(_ESCAPE):
        return pack(bytes.fromhex(value[1:]).decode("utf-8", "surrogatepass"))
    return bytes(value) if isinstance(value, memoryview) else value


class PostgresLink:
    """Opening connects, checks and migrates; ten workers may do so at once."""

    def __init__(self, url: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._psycopg = _driver()
        self.url = url
        self.name = without_password(url)
        self._migrations = migrations
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Any] | None = None
        self._role: str | None = None
        self.closed = False
        self._prepare()

    # --- transactions

    def write(self, user: str, work: Callable[[Transaction], T]) -> T:
        """One writer at a time for each person; committed and durable when this returns. `work` may run
        again."""
        return self._tried(lambda connection: self._written(connection, user, work))

    def read(self, user: str, work: Callable[[Transaction], T]) -> T:
        """On one consistent state. Never waits for a writer."""

        def snapshot(connection: "psycopg.Connection[Any]") -> T:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                _name_person(connection, user)
                return work(Transaction(connection))

        return self._tried(snapshot)

    def for_nobody(self, work: Callable[[Transaction], T]) -> T:
        """A transaction for no person in particular: it may list their names, and reaches none of their
        rows."""

        def listing(connection: "psycopg.Connection[Any]") -> T:
            with connection.transaction():
                connection.execute("SET LOCAL mnemon.listing = 'on'")
                return work(Transaction(connection))

        return self._tried(listing)

    def _written(
        self, connection: "psycopg.Connection[Any]", user: str, work: Callable[[Transaction], T]
    ) -> T:
        number: str | None = None
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_given(user)])
                _name_person(connection, user)
                result = work(Transaction(connection))
                found = connection.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
                number = None if found is None else found[0]
            return result
        except self._psycopg.OperationalError:
            # Cut off while committing: the server knows whether it was done.
            if number is not None and self._was_committed(number):
                return result
            raise

    def _was_committed(self, number: str) -> bool:
        def ask(connection: "psycopg.Connection[Any]") -> bool:
            found = connection.execute("SELECT pg_xact_status(%s::xid8)", [number]).fetchone()
            return found is not None and found[0] == "committed"

        return self._tried(ask)

    def _tried(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        """Again, a few times, when the connection was lost, the server is restarting or two writers met."""
        again = (
            self._psycopg.OperationalError,
            self._psycopg.InterfaceError,
            self._psycopg.errors.SerializationFailure,
            self._psycopg.errors.DeadlockDetected,
        )
        for attempt in range(ATTEMPTS):
            try:
                with self._connections().connection(timeout=CONNECT_SECONDS) as connection:
                    return work(connection)
            except self._psycopg.errors.DiskFull as error:
                raise self._full(error) from error
            except again as error:
                if attempt == ATTEMPTS - 1 or isinstance(error, self._psycopg.errors.InsufficientPrivilege):
                    raise self._unreachable(error) from error
                time.sleep(0.1 * 2**attempt * random.uniform(0.8, 1.2))
            except self._psycopg.Error as error:
                raise StoreError(f"Postgres at {self.name!r} refused: {_line(error)}.") from error
        raise AssertionError("the last attempt returns or raises")

    def _connections(self) -> "ConnectionPool[Any]":
        with self._lock:
            if self.closed:
                raise UsageError(
                    f"The memory {self.name!r} is closed.", hint="Open it again: Memory.open(...)."
                )
            if self._pool is None:
                from psycopg_pool import ConnectionPool

                self._pool = ConnectionPool(
                    self.url,
                    min_size=1,
                    max_size=POOL_SIZE,
                    configure=self._configure,
                    kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS},
                    name="mnemon",
                    open=True,
                )
            return self._pool

    def _configure(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute(f"SET search_path = {SCHEMA}".encode())
        if self._role is not None:
            connection.execute(f"SET ROLE {self._role}".encode())

    def close(self) -> None:
        with self._lock:
            self.closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _full(self, error: Exception) -> StoreError:
        return StoreError(
            f"The disk of {self.name!r} is full; nothing was written: {_line(error)}.",
            hint="Free some space on the server and try again.",
        )

    def _unreachable(self, error: Exception) -> StoreError:
        return StoreError(
            f"Postgres at {self.name!r} cannot be reached: {_line(error)}.",
            hint="Check that the server runs and that the address, user and password are right.",
        )

    # --- the schema

    def _prepare(self) -> None:
        with self._directly() as connection:
            # One at a time; the others find the work done.
            connection.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
            try:
                with connection.transaction():
                    self._migrate(connection)
            finally:
                with suppress(self._psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])

    def _directly(self) -> "psycopg.Connection[Any]":
        """A connection of the login itself, outside the pool."""
        try:
            connection: psycopg.Connection[Any] = self._psycopg.connect(
                self.url, autocommit=True, connect_timeout=CONNECT_SECONDS
            )
            return connection
        except self._psycopg.OperationalError as error:
            raise self._unreachable(error) from error
        except self._psycopg.Error as error:
            raise UsageError(
                f"{self.name!r} is no address of a Postgres database: {_line(error)}.",
                hint="For example postgresql://user:password@host:5432/database",
            ) from error

    def _migrate(self, connection: "psycopg.Connection[Any]") -> None:
        version = self._version(connection)
        if version > len(self._migrations):
            raise StoreError(
                f"The memory {self.name!r} was written by a newer mnemon "
                f"(schema {version}, this one knows {len(self._migrations)}).",
                hint="It was left untouched. Upgrade mnemon: pip install --upgrade mnemon",
            )
        try:
            if version < len(self._migrations):
                self._apply_migrations(connection, version)
            self._role = self._application_role(connection)
        except self._psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(
                f"The login of {self.name!r} may not make mnemon's tables: {_line(error)}.",
                hint="Let the database's owner open it once, or GRANT CREATE ON DATABASE to this login.",
            ) from error

    def _version(self, connection: "psycopg.Connection[Any]") -> int:
        there = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s", [SCHEMA]
        ).fetchone()
        if there is None or not there[0]:
            return 0
        try:
            with connection.transaction():
                found = connection.execute(f"SELECT max(number) FROM {SCHEMA}.migrations".encode()).fetchone()
        except self._psycopg.errors.UndefinedTable as error:
            raise StoreError(
                f"The schema {SCHEMA!r} of {self.name!r} is not a memory of mnemon.",
                hint="It was left untouched. Use another database.",
            ) from error
        return 0 if found is None or found[0] is None else int(found[0])

    def _apply_migrations(self, connection: "psycopg.Connection[Any]", version: int) -> None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
        connection.execute(f"SET LOCAL search_path = {SCHEMA}".encode())
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL)"
        )
        for number, migration in enumerate(self._migrations[version:], version + 1):
            migration.apply(Transaction(connection))
            connection.execute(
                "INSERT INTO migrations VALUES (%s, %s, %s)",
                [number, migration.name, datetime.now(UTC).isoformat(timespec="seconds")],
            )

    def _application_role(self, connection: "psycopg.Connection[Any]") -> str | None:
        """Row-level security does not hold a superuser, so such a login works as another role. An ordinary
        login stays itself: the policies are forced on the tables' owner."""
        above = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if above is None or not above[0]:
            return None
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone()
        first = (self._psycopg.errors.UniqueViolation, self._psycopg.errors.DuplicateObject)
        if known is None:  # roles are the server's: whoever opens another database may be first
            with suppress(*first), connection.transaction():
                connection.execute(f"CREATE ROLE {APP_ROLE} NOLOGIN".encode())
        for grant in (
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {APP_ROLE}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {APP_ROLE}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {APP_ROLE}",
        ):
            connection.execute(grant.encode())
        return APP_ROLE

    # --- the medium

    def administer(self, *statements: str) -> list[Any]:
        """Rows of the last statement, run by the login itself, outside a transaction."""
        with self._directly() as connection:
            connection.execute(f"SET search_path = {SCHEMA}".encode())
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def _name_person(connection: "psycopg.Connection[Any]", user: str) -> None:
    """Until the end of the transaction, the policies let through this person's rows and no others."""
    connection.execute("SELECT set_config('mnemon.user', %s, true)", [_given(user)])


def _driver() -> Any:
    try:
        import psycopg
        import psycopg_pool  # noqa: F401  the same extra; missing, it is said here and not mid-way
    except ImportError as error:
        raise MissingExtra("psycopg", "postgres", "Memory on Postgres") from error
    return psycopg


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
