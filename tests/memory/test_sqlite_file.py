"""What SQLite alone owes: files that are not ours stay untouched, migrations keep a copy, deleted bytes are
gone."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemon.errors import StoreError, UsageError
from mnemon.memory import Episode, SqliteStore
from mnemon.memory.records import episode_id, reference
from mnemon.memory.seams import Erase, Forget, HeadOf, Put, Select
from mnemon.memory.sqlite_file import SqliteFile
from mnemon.memory.sqlite_schema import APPLICATION_ID, MIGRATIONS, Migration

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def turn(text: str, *, session: str = "s") -> Episode:
    return Episode(
        id=episode_id(text, NOW, session=session), text=text, time=NOW, session=session, recorded_at=NOW
    )


def filled(path: Path, *texts: str) -> None:
    store = SqliteStore(path)
    store.apply("ana", [Put(turn(text)) for text in texts or ("hello",)], action="test", at=NOW)
    store.close()


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        found.name: hashlib.sha256(found.read_bytes()).hexdigest()
        for found in sorted(folder.iterdir())
        if found.is_file()
    }


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


class TestRefused:
    """A clear error, and every file of the folder byte for byte as before."""

    def refused(self, path: Path, words: str) -> None:
        before = fingerprint(path.parent)
        with pytest.raises(StoreError, match=words) as caught:
            SqliteStore(path)
        assert caught.value.hint
        assert fingerprint(path.parent) == before

    def test_newer(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path)
        edit(path, "PRAGMA user_version = 99")
        self.refused(path, "newer mnemon")

    def test_a_database_of_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        edit(path, "CREATE TABLE theirs (x)")
        self.refused(path, "not a memory of mnemon")

    def test_a_database_of_something_else_with_a_log(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        theirs = sqlite3.connect(path)
        theirs.execute("PRAGMA journal_mode = WAL")
        theirs.execute("CREATE TABLE theirs (x)")
        theirs.commit()
        theirs.execute("PRAGMA wal_checkpoint")
        theirs.execute("INSERT INTO theirs VALUES (1)")
        theirs.commit()
        self.refused(path, "not a memory of mnemon")
        theirs.close()

    @pytest.mark.parametrize(
        "content", [b"hello, I am a diary\n" * 50, b"\x00" * 4096, b"x", os.urandom(9000)]
    )
    def test_no_database(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "people.db"
        path.write_bytes(content)
        self.refused(path, "not a memory of mnemon")

    def test_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path, *(f"{number} " + "words " * 50 for number in range(200)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.refused(path, "damaged")

    def test_a_broken_schema(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path)
        content = bytearray(path.read_bytes())
        content[100:4096] = b"\xff" * 3996
        path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(StoreError, match="damaged"):
            SqliteStore(path)
        assert path.read_bytes() == before

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is a folder")

    def test_a_place_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError):
            SqliteStore(tmp_path / "file" / "people.db")


def test_damage_found_while_reading_is_told_and_by_verify_too(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    filled(path, *(f"{number} " + "words " * 50 for number in range(500)))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40960] = b"\xee" * 40960
    path.write_bytes(content)
    store = SqliteStore(path)
    assert store.verify()
    with pytest.raises(StoreError, match="damaged"):
        store.read("ana", Select(kind="episode"))
    store.close()
    assert path.read_bytes() == content


class TestMigrations:
    def extended(self) -> tuple[Migration, ...]:
        return (
            *MIGRATIONS,
            Migration("m999_test", lambda connection: connection.execute("CREATE TABLE extra (x)") and None),
        )

    def test_applied_in_order_after_a_backup(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path, "before")
        store = SqliteStore(path, migrations=self.extended())
        assert [e.text for e in store.read("ana", Select(kind="episode"))] == ["before"]  # type: ignore[union-attr]
        assert store.describe()["backups"] == 1
        store.close()
        (backup,) = tmp_path.glob(f"*.backup-v{len(MIGRATIONS)}-*")
        old = SqliteStore(backup)
        assert [e.text for e in old.read("ana", Select(kind="episode"))] == ["before"]  # type: ignore[union-attr]
        old.close()
        names = sqlite3.connect(path).execute("SELECT name FROM migrations ORDER BY number").fetchall()
        assert names == [*((migration.name,) for migration in MIGRATIONS), ("m999_test",)]

    def test_a_file_from_before_there_were_items_is_taken_over(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        old = SqliteStore(path, migrations=MIGRATIONS[:1])
        old.apply("ana", [Put(turn("before"))], action="remember", at=NOW)
        old.close()
        store = SqliteStore(path)
        assert [e.text for e in store.read("ana", Select(kind="episode"))] == ["before"]  # type: ignore[union-attr]
        assert store.describe()["backups"] == 1
        store.close()
        with pytest.raises(StoreError, match="newer"):
            SqliteStore(path, migrations=MIGRATIONS[:1])

    def test_opened_again_it_is_not_migrated_again(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        for _ in range(3):
            SqliteStore(path, migrations=self.extended()).close()
        assert not list(tmp_path.glob("*.backup*"))

    def test_a_migration_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (x)")
            connection.execute("INSERT INTO half VALUES (1)")
            raise RuntimeError("power cut")

        path = tmp_path / "people.db"
        filled(path, "before")
        with pytest.raises(RuntimeError):
            SqliteStore(path, migrations=(*MIGRATIONS, Migration("m999_fails", fail)))
        store = SqliteStore(path)
        assert [e.text for e in store.read("ana", Select(kind="episode"))] == ["before"]  # type: ignore[union-attr]
        store.close()

    def test_names_are_append_only(self) -> None:
        # A released migration keeps its name and place for ever.
        assert [migration.name for migration in MIGRATIONS][:2] == ["m001_records_and_events", "m002_items"]
        assert APPLICATION_ID == 0x6D6E656D

    def test_two_processes_may_create_one_file(self, tmp_path: Path) -> None:
        code = (
            "import sys; from mnemon.memory import SqliteStore as S; s = S(sys.argv[1]); s.users(); s.close()"
        )
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path / "people.db")], stderr=subprocess.PIPE
            )
            for _ in range(4)
        ]
        for process in running:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors.decode()

    def test_threads_may_create_one_file(self, tmp_path: Path) -> None:
        stores: list[SqliteStore] = []
        threads = [
            threading.Thread(target=lambda: stores.append(SqliteStore(tmp_path / "people.db")))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stores) == 8
        for store in stores:
            store.close()


class TestNoTrace:
    RARE = "zanzibarquokkaflummery"

    def found(self, folder: Path) -> list[str]:
        needle = self.RARE.encode()
        return [found.name for found in folder.rglob("*") if found.is_file() and needle in found.read_bytes()]

    @pytest.mark.parametrize("way", ["forget", "erase"])
    def test_no_file_holds_the_words_afterwards(self, tmp_path: Path, way: str) -> None:
        path = tmp_path / "people.db"
        store = SqliteStore(path)
        secrets = [turn(f"{number} {self.RARE} " + "x" * (number % 5000)) for number in range(300)]
        # A session's name and a user id are words too, and land in indexes.
        secrets.append(turn("short", session=self.RARE))
        noise = [turn(f"{number} nothing " + "y" * (number % 3000)) for number in range(300)]
        for one, other in zip(secrets, noise, strict=False):
            store.apply("ana", [Put(one), Put(other)], action="test", at=NOW)
            store.apply("bob", [Put(other)], action="test", at=NOW)
        assert self.found(tmp_path)
        if way == "forget":
            store.apply("ana", [Forget([reference(one) for one in secrets])], action="forget", at=NOW)
            assert len(store.read("ana", Select(kind="episode"))) == 300
        else:
            store.apply("ana", [Erase()], action="erase", at=NOW)
            assert store.users() == ["bob"]
        assert self.found(tmp_path) == []  # while it is open
        assert len(store.read("bob", Select(kind="episode"))) == 300
        assert store.verify() == []
        store.close()
        assert self.found(tmp_path) == []

    def test_erasing_removes_backups_that_we_made(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path, self.RARE)
        extended = TestMigrations().extended()
        store = SqliteStore(path, migrations=extended)
        (tmp_path / "other.db.backup-v1-x").write_text("not ours")
        assert len(self.found(tmp_path)) == 2
        store.apply("ana", [Erase()], action="erase", at=NOW)
        store.close()
        assert self.found(tmp_path) == []
        assert (tmp_path / "other.db.backup-v1-x").exists()

    def test_a_reader_in_the_way_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "people.db"
        filled(path, self.RARE)
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM records").fetchall()
        file = SqliteFile(path)
        with pytest.raises(StoreError, match="keeps reading") as caught:
            file.scrub(seconds=0.1)
        assert "verify --repair" in str(caught.value)
        reader.close()
        file.scrub()
        file.close()


class TestConnections:
    def test_closed_is_closed(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "people.db")
        store.close()
        store.close()
        with pytest.raises(UsageError, match="is closed"):
            store.users()

    def test_a_fork_gets_connections_of_its_own(self, tmp_path: Path) -> None:
        code = """
import os, sys
from datetime import UTC, datetime
from mnemon.memory import SqliteStore, Episode
from mnemon.memory.seams import Put, Select
now = datetime(2024, 5, 1, tzinfo=UTC)
store = SqliteStore(sys.argv[1])
def put(text):
    store.apply("ana", [Put(Episode(id=text, text=text, time=now, recorded_at=now))], action="test", at=now)
put("before")
child = os.fork()
put("child" if child == 0 else "parent")
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(store.read("ana", Select(kind="episode"))) == 3
assert store.verify() == []
"""
        subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path / "people.db")], check=True)

    def test_a_name_with_special_characters(self, tmp_path: Path) -> None:
        path = tmp_path / "a?b#c%20[x]*.db"
        filled(path)
        store = SqliteStore(path)
        assert store.read("ana", HeadOf()).version == 1
        assert store.describe()["backups"] == 0
        store.close()
        assert path.exists()
