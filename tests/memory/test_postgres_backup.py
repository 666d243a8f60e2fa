"""`pg_dump` and back: what the page tells people to do before an upgrade, done."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from mnemon.memory import Memory
from mnemon.memory.moving import digest_of
from mnemon.memory.records import reference
from mnemon.memory.seams import Log, Select
from mnemon.memory.transfer import FILES
from mnemon.testing import HashEmbedder
from tests import postgres


@pytest.fixture
def tools() -> Path:
    """The folder of the programs of the server's own version."""
    with psycopg.connect(postgres.server()) as connection:
        found = connection.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchone()
    folder = Path(found[0]) if found else Path()
    if not (folder / "pg_dump").exists():
        pytest.skip(f"there is no pg_dump in {str(folder)!r}")
    return folder


def ran(tool: Path, *arguments: str) -> None:
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def held(memory: Memory, user: str) -> tuple[str, object]:
    records = {
        reference(one): one
        for kind in FILES.values()
        for one in memory.store.read(user, Select(kind=kind, revisions=True))
    }
    log = memory.store.read(user, Log(limit=100))
    return digest_of(records), [
        (event.number, event.action, {change.reference for change in event.changes}) for event in log
    ]


def test_a_dump_holds_everything_and_comes_back(tools: Path, tmp_path: Path) -> None:
    old, new, dump = postgres.new_database(), postgres.new_database(), str(tmp_path / "mnemon.dump")
    with Memory.open(old, embedder=HashEmbedder()) as memory:
        for user in ("ana", "bob"):
            memory.for_user(user).remember(["I live in Paris. \x00 🦜", f"My name is {user.title()}."])
            memory.for_user(user).recall("Where do I live?")
        before = [held(memory, user) for user in ("ana", "bob")]
        found = [hit.id for hit in memory.for_user("ana").recall("Where do I live?")]
    ran(tools / "pg_dump", "--format=custom", f"--file={dump}", old)
    ran(tools / "pg_restore", "--exit-on-error", f"--dbname={new}", dump)
    with Memory.open(new, embedder=HashEmbedder()) as memory:
        assert [held(memory, user) for user in ("ana", "bob")] == before
        assert [hit.id for hit in memory.for_user("ana").recall("Where do I live?")] == found
        memory.for_user("ana").remember("And it goes on.")
        assert len(memory.for_user("ana").timeline()) == 3
    with psycopg.connect(new) as connection:  # what kept people apart came with it
        connection.execute("SET ROLE mnemon_app")
        connection.execute("SELECT set_config('mnemon.user', 'ana', false)")
        seen = connection.execute('SELECT DISTINCT "user" FROM mnemon.persons').fetchall()
        rows = connection.execute("SELECT count(*) FROM mnemon.records WHERE kind = 1").fetchone()
    assert (seen, rows) == ([("ana",)], (3,))


def test_an_ordinary_login_is_refused_a_dump_and_not_given_half_of_it(tools: Path, tmp_path: Path) -> None:
    """Row-level security holds the dump, too: it needs a login that stands above it."""
    address = postgres.new_database()
    place = urlsplit(address)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS mnemon_dumper")
        connection.execute("CREATE ROLE mnemon_dumper LOGIN PASSWORD 'secret'")
        connection.execute(f"GRANT CREATE ON DATABASE {place.path[1:]} TO mnemon_dumper".encode())
    owner = urlunsplit(place._replace(netloc=f"mnemon_dumper:secret@{place.netloc.rpartition('@')[2]}"))
    with Memory.open(owner, embedder=None) as memory:
        memory.for_user("ana").remember("Mine.")
    command = [tools / "pg_dump", f"--file={tmp_path / 'half.sql'}", owner]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode != 0
    assert "row-level security" in done.stderr
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP OWNED BY mnemon_dumper")
        connection.execute("DROP ROLE mnemon_dumper")
