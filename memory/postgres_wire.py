"""What goes over one connection to Postgres: how long a silence is borne, the text that Postgres cannot hold,
and many rows as one statement.

Reads `?` as a parameter's place, like SQLite. Knows no records and no pool.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from mnemon.errors import MissingExtra, UsageError, one_line
from mnemon.memory.codec import Packed, pack, unpack
from mnemon.memory.inputs import without_password
from mnemon.memory.postgres_schema import ROWS
from mnemon.memory.sql_rows import Cursor

try:
    import psycopg as psycopg  # the link takes both from here, after this has been said
    import psycopg_pool as psycopg_pool
    from psycopg.abc import PQGen
    from psycopg.conninfo import conninfo_to_dict
except ImportError as error:
    raise MissingExtra("psycopg", "postgres", "Memory on Postgres") from error

T = TypeVar("T")

NAME = "mnemon"  # what the server's list of connections calls ours
CONNECT_SECONDS = 10
# A dead network is noticed by either side within half a minute, as far as its kernels can tell.
_NETWORK: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": NAME,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
SERVERS_SIDE = "tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_ESCAPE = "\x01"
_INSERT = re.compile(r"INSERT INTO (\w+)(?:\([^()]*\))? VALUES \([?, ]+\)")


def options(url: str) -> dict[str, Any]:
    """How to connect, but for what the address itself says about it."""
    try:
        said = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise UsageError(
            f"{without_password(url)!r} is no address of a Postgres database: {one_line(error)}.",
            hint="For example postgresql://user:password@host:5432/database",
        ) from error
    return {name: value for name, value in _NETWORK.items() if name not in said}


class PatientConnection(psycopg.Connection[Any]):
    """One that does not wait for ever: a silence that no statement of ours can last closes it. Keepalives
    do not see a proxy that swallows everything, or a server that is stopped."""

    silence: float | None = None

    def wait(self, gen: PQGen[T], *details: Any, **more: Any) -> T:
        return super().wait(self._bounded(gen), *details, **more)

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        heard = time.monotonic()
        try:
            wish = next(gen)
            while True:
                ready = yield wish
                now = time.monotonic()
                if ready:
                    heard = now
                elif self.silence is not None and now - heard > self.silence:
                    self.close()
                    raise psycopg.OperationalError(f"no answer for {self.silence:.0f} seconds")
                wish = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result


class Transaction:
    """A `Connection` for the shared SQL, on one transaction of Postgres."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return _Rows(self._connection.execute(_marked(statement), list(map(given, parameters))))

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> None:
        rows = [list(map(given, row)) for row in parameters]
        types = ROWS.get(found[1]) if (found := _INSERT.fullmatch(statement)) else None
        if types is None:
            with self._connection.cursor() as cursor:
                cursor.executemany(_marked(statement), rows)
        elif rows:
            # One statement for all rows: planned, and its policies looked up, once.
            columns = ", ".join(f"%s::{kind}[]" for kind in types)
            together = f"{statement.partition(' VALUES ')[0]} SELECT * FROM unnest({columns})"
            self._connection.execute(together.encode(), [list(column) for column in zip(*rows, strict=True)])


class _Rows:
    """A cursor whose text comes back as it was given."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        return None if row is None else tuple(map(_taken, row))

    def fetchall(self) -> list[Any]:
        return [tuple(map(_taken, row)) for row in self._cursor.fetchall()]

    def __iter__(self) -> Iterator[Any]:
        return (tuple(map(_taken, row)) for row in self._cursor)


def _marked(statement: str) -> bytes:
    # Bytes, because the type of a statement that is text wants it written out in the source.
    return statement.replace("?", "%s").encode("utf-8")


def given(value: object) -> object:
    """Postgres holds neither NUL nor lone surrogates in text: such text is written as hexadecimal digits."""
    if isinstance(value, Packed) or (isinstance(value, str) and ("\0" in value or value.startswith(_ESCAPE))):
        return _ESCAPE + unpack(value).encode("utf-8", "surrogatepass").hex()
    return value


def _taken(value: object) -> object:
    if isinstance(value, str) and value.startswith(_ESCAPE):
        return pack(bytes.fromhex(value[1:]).decode("utf-8", "surrogatepass"))
    return bytes(value) if isinstance(value, memoryview) else value
