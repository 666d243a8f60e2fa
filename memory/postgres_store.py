"""`MemoryStore` on Postgres: many workers, one database. The transactions are here; what is done in them is
in `sql_batch` and `sql_reads`, as for SQLite. Needs the extra `postgres`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from mnemon.memory.postgres_jobs import PostgresJobs
from mnemon.memory.postgres_link import PostgresLink
from mnemon.memory.postgres_schema import MIGRATIONS, SCHEMA, Migration
from mnemon.memory.postgres_wire import Transaction
from mnemon.memory.seams import Erase, Event, Log, Operation, Query
from mnemon.memory.sql_batch import Batch, answer

T = TypeVar("T")


class PostgresStore:
    """Open with `postgresql://user:password@host:port/database`."""

    def __init__(self, url: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._link = PostgresLink(url, migrations=migrations)
        self._schema = len(migrations)
        self.jobs = PostgresJobs(self._link)

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
        listed = list(operations)  # tried again after a lost connection, they must be there again

        def work(transaction: Transaction) -> Event:
            batch = Batch(transaction, user, at=at, action=action)
            return batch.run(listed, if_version=if_version, undoes=undoes)

        event: Event = self._link.write(user, work, done=partial(_is_logged, user))
        if any(isinstance(operation, Erase) for operation in listed):
            self.jobs.drop(user)
        return event

    def read(self, user: str, query: Query[T]) -> T:
        return self._link.read(user, lambda transaction: answer(transaction, user, query))

    def users(self) -> list[str]:
        statement = 'SELECT "user" FROM persons ORDER BY "user"'
        return self._link.for_nobody(
            lambda transaction: [row[0] for row in transaction.execute(statement).fetchall()]
        )

    def verify(self) -> list[str]:
        """What the server itself has noticed: pages whose checksums did not hold."""
        rows = self._link.administer(
            "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
        )
        return [f"the server counted {row[0]} pages with wrong checksums" for row in rows if row[0]]

    def scrub(self) -> None:
        """Rewrite the tables without the slack that may hold deleted bytes. Locks each while it is rewritten;
        the server's write-ahead log and its backups are beyond its reach."""
        self._link.administer("VACUUM FULL")

    def describe(self) -> Mapping[str, str | int]:
        (row,) = self._link.administer(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
            f"WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r'"
        )
        return {
            "backend": "postgres",
            "location": self._link.name,
            "bytes": int(row[0]),
            "schema": self._schema,
        }

    def close(self) -> None:
        self._link.close()


def _is_logged(user: str, transaction: Transaction, event: Event) -> bool:
    """Whether this very event stands in the person's log."""
    return any(
        (found.at, found.action, found.undoes) == (event.at, event.action, event.undoes)
        and {change.reference for change in found.changes} == {change.reference for change in event.changes}
        for found in answer(transaction, user, Log(number=event.number))
    )
