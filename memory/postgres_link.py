"""The way to a Postgres server: a pool of connections, each bound to the application's role, transactions
that are tried again when the server or the network went away, and the schema's migrations.

Knows no records.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any, LiteralString, TypeVar

from mnemon.errors import StoreError, UsageError, one_line
from mnemon.memory.inputs import without_password
from mnemon.memory.postgres_schema import MIGRATIONS, SCHEMA, Migration
from mnemon.memory.postgres_wire import (
    CONNECT_SECONDS,
    NAME,
    SERVERS_SIDE,
    PatientConnection,
    Transaction,
    given,
    options,
    psycopg,
    psycopg_pool,
)

Connection = psycopg.Connection[Any]
T = TypeVar("T")

APP_ROLE = "mnemon_app"  # what a login that stands above row-level security becomes
STATEMENT_SECONDS = 60  # the server ends what takes longer, waiting for another writer included
SILENCE_SECONDS = 65  # so this long without an answer means that none will come
RETRY_SECONDS = 30  # from the first failure on: time for a server to restart
POOL_SIZE = 8
# The driver's own words about lost connections: for whoever configures logging, not for the screen.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
_MIGRATION_LOCK = 0x6D6E656D  # "mnem"

_NAME_PERSON = "SELECT set_config('mnemon.user', %s, true)"
# The person is locked, too: one writer at a time. One that falls silent is put out, so that it does not hold
# the lock for ever.
_LOCK_PERSON = """
    SELECT set_config(%s, %s, true), pg_advisory_xact_lock(hashtextextended(%s, 0))
"""
# Somebody else may have been given the number since; what is ended of ours runs again.
_END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND application_name = %s AND datname = current_database()
"""


class PostgresLink:
    """Opening connects, checks and migrates; ten workers may do so at once."""

    def __init__(self, url: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self.url = url
        self.name = without_password(url)
        self._options = options(url)
        self._migrations = migrations
        self._lock = threading.Lock()
        self._pool: psycopg_pool.ConnectionPool[PatientConnection] | None = None
        self._role: str | None = None
        self.closed = False
        self._prepare()

    # --- transactions

    def write(
        self,
        user: str,
        work: Callable[[Transaction], T],
        *,
        done: Callable[[Transaction, T], bool] | None = None,
    ) -> T:
        """One writer at a time for each person; committed and durable when this returns. `work` may run
        again, unless what it gave is `done`: the connection may have been lost after the commit. (The number
        of a transaction says nothing then: after a crash the server gives it to another.)"""
        name = given(user)
        results: list[T] = []
        cut_off: list[int] = []  # processes of the server that may not have noticed, and hold the lock

        def attempt(connection: Connection) -> T:
            self._end(cut_off)
            try:
                with _transaction(connection, "BEGIN"):
                    # To an older server, one that is sent statements together is never idle.
                    whole = connection.info.server_version >= 170_000
                    limit = "transaction_timeout" if whole else "idle_in_transaction_session_timeout"
                    connection.execute(_LOCK_PERSON, [limit, f"{STATEMENT_SECONDS}s", name])
                    connection.execute(_NAME_PERSON, [name])
                    return once(Transaction(connection))
            except psycopg.OperationalError as error:
                if _is_cut(error):
                    cut_off.append(connection.info.backend_pid)
                raise

        def once(transaction: Transaction) -> T:
            if not results or done is None or not done(transaction, results[-1]):
                results.append(work(transaction))
            return results[-1]

        return self._tried(attempt)

    def read(self, user: str, work: Callable[[Transaction], T]) -> T:
        """On one consistent state. Never waits for a writer."""

        def snapshot(connection: Connection) -> T:
            with _transaction(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
                connection.execute(_NAME_PERSON, [given(user)])
                return work(Transaction(connection))

        return self._tried(snapshot)

    def for_nobody(self, work: Callable[[Transaction], T]) -> T:
        """A transaction for no person in particular: it may list their names, and reaches none of their
        rows."""

        def listing(connection: Connection) -> T:
            with connection.transaction():
                connection.execute("SET LOCAL mnemon.listing = 'on'")
                return work(Transaction(connection))

        return self._tried(listing)

    def _end(self, processes: list[int]) -> None:
        if processes:
            with self._connect() as login:  # a role that was set may end nobody
                for process in processes:
                    login.execute(_END, [process, NAME])
            processes.clear()

    def _tried(self, work: Callable[[Connection], T]) -> T:
        """Again, for some time, when the connection was lost, the server is restarting or two writers met."""
        again = (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            psycopg.errors.SerializationFailure,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.IdleInTransactionSessionTimeout,
        )
        for _ in _pauses():
            pool = self._connections()
            try:
                with pool.connection(timeout=CONNECT_SECONDS) as connection:
                    return work(connection)
            except psycopg.errors.DiskFull as error:
                raise self._full(error) from error
            except psycopg.errors.QueryCanceled as error:
                raise self._busy(error) from error
            except again as error:
                failure = error
                if _is_cut(error):
                    self._renew(pool)  # the others are as dead as this one
            except psycopg.Error as error:
                raise StoreError(f"Postgres at {self.name!r} refused: {one_line(error)}.") from error
        if isinstance(failure, psycopg_pool.PoolTimeout):
            self._directly().close()  # it says why
        raise self._unreachable(failure) from failure

    def _connections(self) -> psycopg_pool.ConnectionPool[PatientConnection]:
        with self._lock:
            if self.closed:
                raise UsageError(
                    f"The memory {self.name!r} is closed.", hint="Open it again: Memory.open(...)."
                )
            if self._pool is None:
                self._pool = psycopg_pool.ConnectionPool(
                    self.url,
                    connection_class=PatientConnection,
                    min_size=1,
                    max_size=POOL_SIZE,
                    configure=self._configure,
                    kwargs={"autocommit": True, **self._options},
                    name=NAME,
                    open=True,
                )
            return self._pool

    def _configure(self, connection: PatientConnection) -> None:
        connection.silence = SILENCE_SECONDS
        role = "NONE" if self._role is None else self._role
        connection.execute(
            f"SET search_path = {SCHEMA}; SET ROLE {role}; SET {SERVERS_SIDE}; "
            f"SET statement_timeout = '{STATEMENT_SECONDS}s'".encode()
        )

    def _renew(self, pool: psycopg_pool.ConnectionPool[PatientConnection]) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.close(timeout=0)

    def close(self) -> None:
        with self._lock:
            self.closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _full(self, error: Exception) -> StoreError:
        return StoreError(
            f"The disk of {self.name!r} is full; nothing was written: {one_line(error)}.",
            hint="Free some space on the server and try again.",
        )

    def _busy(self, error: Exception) -> StoreError:
        return StoreError(
            f"Postgres at {self.name!r} did not finish in {STATEMENT_SECONDS} seconds; nothing was written: "
            f"{one_line(error)}.",
            hint="Another process may be writing a lot for this person; try again.",
        )

    def _unreachable(self, error: Exception) -> StoreError:
        return StoreError(
            f"Postgres at {self.name!r} cannot be reached: {one_line(error)}.",
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
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])

    def _directly(self) -> Connection:
        """A connection of the login itself, outside the pool."""
        try:
            return self._connect()
        except psycopg.OperationalError as error:
            raise self._unreachable(error) from error

    def _connect(self) -> Connection:
        return psycopg.connect(self.url, autocommit=True, **self._options)

    def _migrate(self, connection: Connection) -> None:
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
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(
                f"The login of {self.name!r} may not make mnemon's tables: {one_line(error)}.",
                hint="Let the database's owner open it once, or GRANT CREATE ON DATABASE to this login.",
            ) from error

    def _version(self, connection: Connection) -> int:
        there = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s", [SCHEMA]
        ).fetchone()
        if there is None or not there[0]:
            return 0
        try:
            with connection.transaction():
                found = connection.execute(f"SELECT max(number) FROM {SCHEMA}.migrations".encode()).fetchone()
        except psycopg.errors.UndefinedTable as error:
            raise StoreError(
                f"The schema {SCHEMA!r} of {self.name!r} is not a memory of mnemon.",
                hint="It was left untouched. Use another database.",
            ) from error
        return 0 if found is None or found[0] is None else int(found[0])

    def _apply_migrations(self, connection: Connection, version: int) -> None:
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

    def _application_role(self, connection: Connection) -> str | None:
        """Row-level security does not hold a superuser, so such a login works as another role. An ordinary
        login stays itself: the policies are forced on the tables' owner."""
        above = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if above is None or not above[0]:
            return None
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone()
        first = (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject)
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


@contextmanager
def _transaction(connection: Connection, begin: LiteralString) -> Iterator[None]:
    """What needs no answer is sent with the next that does: four journeys to the server instead of ten."""
    try:
        with connection.pipeline():
            connection.execute(begin)
            yield
            connection.execute("COMMIT", prepare=False)
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise


def _is_cut(error: Exception) -> bool:
    """Whether the connection is gone, and not only the statement refused."""
    if isinstance(error, psycopg_pool.PoolTimeout) or not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("57P")


def _pauses() -> Iterator[None]:
    """Once, and then again after growing waits, for some time from the first failure on."""
    yield
    failed = time.monotonic()
    for attempt in count():
        time.sleep(min(2.0, 0.1 * 2**attempt) * random.uniform(0.8, 1.2))
        yield
        if time.monotonic() - failed > RETRY_SECONDS:
            return
