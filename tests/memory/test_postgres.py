"""What Postgres adds to what every store does: isolation by the database itself, many workers, lost
connections. Only a real server can show this, so each test is of a real one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from mnemon.cli.app import run
from mnemon.errors import DataError, StoreError, UsageError
from mnemon.memory import Episode, Memory
from mnemon.memory.postgres_link import APP_ROLE
from mnemon.memory.postgres_schema import MIGRATIONS, Migration
from mnemon.memory.postgres_store import PostgresStore
from mnemon.memory.postgres_wire import Transaction
from mnemon.memory.records import episode_id
from mnemon.memory.seams import Operation, Put, Select
from mnemon.memory.sql_batch import Batch
from mnemon.memory.sql_rows import Connection
from mnemon.testing import HashEmbedder
from tests import postgres

NOW = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
TABLES = ("persons", "records", "events", "changes", "vectors", "blobs")


def turn(text: str) -> Episode:
    return Episode(id=episode_id(text, NOW), text=text, time=NOW, session="", recorded_at=NOW, position=-1)


def say(store: PostgresStore, user: str, *texts: str) -> int:
    return store.apply(user, [Put(turn(text)) for text in texts], action="remember", at=NOW).number


def texts(store: PostgresStore, user: str) -> list[str]:
    return [one.text for one in store.read(user, Select(kind="episode")) if isinstance(one, Episode)]


@pytest.fixture
def url() -> str:
    return postgres.empty()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url)
    yield store
    store.close()


class TestRowSecurity:
    @pytest.fixture
    def connection(self, url: str, store: PostgresStore) -> Iterator[psycopg.Connection[tuple[int]]]:
        """Raw SQL with the application's role, in a database that holds two people."""
        say(store, "ana", "hers")
        say(store, "bob", "his")
        with psycopg.connect(url) as connection:
            connection.execute(f"SET ROLE {APP_ROLE}".encode())
            connection.execute("SET search_path = mnemon")
            yield connection

    def count(self, connection: psycopg.Connection[tuple[int]], table: str) -> int:
        found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert found is not None
        return found[0]

    def test_without_a_person_there_is_nothing(self, connection: psycopg.Connection[tuple[int]]) -> None:
        assert [self.count(connection, table) for table in TABLES] == [0] * len(TABLES)

    def test_only_the_named_persons_rows(self, connection: psycopg.Connection[tuple[int]]) -> None:
        connection.execute("SELECT set_config('mnemon.user', 'ana', true)")
        assert [self.count(connection, table) for table in TABLES[:4]] == [1, 1, 1, 1]
        rows = connection.execute("SELECT body FROM records").fetchall()
        assert len(rows) == 1
        assert "hers" in str(rows)

    def test_not_through_a_partition_either(self, connection: psycopg.Connection[tuple[int]]) -> None:
        connection.execute("SELECT set_config('mnemon.user', 'ana', true)")
        assert sum(self.count(connection, f"records_{part}") for part in range(16)) == 1

    def test_nothing_is_written_for_another(self, connection: psycopg.Connection[tuple[int]]) -> None:
        connection.execute("SELECT set_config('mnemon.user', 'ana', true)")
        changed = connection.execute("UPDATE records SET body = 'x'").rowcount
        assert changed == 1  # hers
        assert connection.execute("DELETE FROM persons WHERE \"user\" = 'bob'").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO persons(\"user\", version, epoch) VALUES ('eve', 0, 0)")

    def test_an_owner_that_is_no_superuser_is_bound_too(self) -> None:
        address = postgres.new_database()
        place = urlsplit(address)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS mnemon_owner")
            connection.execute("CREATE ROLE mnemon_owner LOGIN PASSWORD 'secret'")
            connection.execute(f"GRANT CREATE ON DATABASE {place.path[1:]} TO mnemon_owner".encode())
        owner = urlunsplit(place._replace(netloc=f"mnemon_owner:secret@{place.netloc.rpartition('@')[2]}"))
        store = PostgresStore(owner)
        say(store, "ana", "hers")
        assert texts(store, "ana") == ["hers"]
        assert texts(store, "bob") == []
        store.close()
        with psycopg.connect(owner) as connection:
            assert self.count(connection, "mnemon.records") == 0
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP OWNED BY mnemon_owner")
            connection.execute("DROP ROLE mnemon_owner")


class TestOpening:
    def test_ten_workers_start_at_once(self) -> None:
        address = postgres.new_database()
        with ThreadPoolExecutor(10) as workers:
            stores = list(workers.map(PostgresStore, [address] * 10))
        for number, store in enumerate(stores):
            say(store, "ana", f"{number}")
        assert len(texts(stores[0], "ana")) == 10
        for store in stores:
            store.close()

    def test_a_newer_schema_is_left_untouched(self) -> None:
        address = postgres.new_database()
        PostgresStore(address, migrations=(*MIGRATIONS, Migration("m999_later", lambda _: None))).close()
        with pytest.raises(StoreError, match="newer mnemon"):
            PostgresStore(address)

    def test_a_migration_that_fails_leaves_nothing(self) -> None:
        address = postgres.new_database()

        def fails(connection: object) -> None:
            raise RuntimeError("power cut")

        with pytest.raises(RuntimeError):
            PostgresStore(address, migrations=(*MIGRATIONS, Migration("m002_fails", fails)))
        with psycopg.connect(address) as connection:
            found = connection.execute(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'mnemon'"
            ).fetchone()
        assert found is None
        PostgresStore(address).close()

    def test_a_later_migration_keeps_what_was_said(self) -> None:
        address = postgres.new_database()
        first = PostgresStore(address)
        say(first, "ana", "hers")
        first.close()

        def add_a_column(connection: Connection) -> None:
            connection.execute("ALTER TABLE persons ADD COLUMN note TEXT")

        more = Migration("m002_note", add_a_column)
        second = PostgresStore(address, migrations=(*MIGRATIONS, more))
        assert second.describe()["schema"] == len(MIGRATIONS) + 1
        assert texts(second, "ana") == ["hers"]
        second.close()

    def test_a_schema_of_somebody_else(self) -> None:
        address = postgres.new_database()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA mnemon")
            connection.execute("CREATE TABLE mnemon.cats (name TEXT)")
        with pytest.raises(StoreError, match="is not a memory of mnemon"):
            PostgresStore(address)

    def test_nobody_answers_and_no_password_is_shown(self) -> None:
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            PostgresStore("postgresql://ana:secret@127.0.0.1:1/db")
        assert "secret" not in str(caught.value)

    def test_closed_is_closed(self, url: str) -> None:
        store = PostgresStore(url)
        store.close()
        with pytest.raises(UsageError, match="closed"):
            store.users()


class TestFaults:
    def cut(self, url: str) -> int:
        """End every other connection to the database, as a failing network or an administrator does."""
        with psycopg.connect(url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        return len(ended)

    def test_cut_connections_are_made_again(self, url: str, store: PostgresStore) -> None:
        say(store, "ana", "before")
        assert self.cut(url) >= 1
        assert texts(store, "ana") == ["before"]
        assert self.cut(url) >= 1
        say(store, "ana", "after")
        assert texts(store, "ana") == ["before", "after"]

    def test_cut_in_the_middle_of_a_write_it_is_written_once(self, url: str, store: PostgresStore) -> None:
        cuts: list[int] = []

        def work(transaction: Transaction) -> int:
            batch = Batch(transaction, "ana", at=NOW, action="remember")

            def operations() -> Iterator[Operation]:
                yield Put(turn("one"))
                if not cuts:
                    cuts.append(self.cut(url))
                yield Put(turn("two"))

            return batch.run(operations(), if_version=None, undoes=None).number

        assert store._link.write("ana", work) == 1
        assert cuts[0] >= 1
        assert texts(store, "ana") == ["one", "two"]

    def test_what_the_server_refuses_is_said(self, store: PostgresStore) -> None:
        with pytest.raises(StoreError, match="refused"):
            store._link.read("ana", lambda run: run.execute("SELECT nonsense"))


class TestWorkers:
    """Two memories on one database, as two processes have them."""

    @pytest.fixture
    def workers(self, url: str) -> Iterator[tuple[Memory, Memory]]:
        with (
            Memory.open(url, embedder=HashEmbedder()) as one,
            Memory.open(url, embedder=HashEmbedder()) as two,
        ):
            yield one, two

    def test_what_one_wrote_the_other_finds_at_once(self, workers: tuple[Memory, Memory]) -> None:
        one, two = (memory.for_user("ana") for memory in workers)
        for number in range(10):
            writer, reader = (one, two) if number % 2 else (two, one)
            writer.remember(f"My parrot number {number} is called Pico{number}.")
            assert f"Pico{number}" in reader.recall(f"parrot Pico{number}", k=1)[0].text

    def test_what_one_forgot_the_other_finds_no_more(self, workers: tuple[Memory, Memory]) -> None:
        one, two = (memory.for_user("ana") for memory in workers)
        (name,) = one.remember("The code of the safe is 4711.")
        assert two.recall("code of the safe")
        one.forget(name)
        assert two.recall("code of the safe") == []

    def test_many_writers_to_one_person(self, workers: tuple[Memory, Memory]) -> None:
        def write(number: int) -> None:
            workers[number % 2].for_user("ana").remember(f"I own book number {number}.")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(40)))
        ana = workers[0].for_user("ana")
        assert len(ana.timeline()) == 40
        assert sorted(one.position for one in ana.timeline()) == list(range(40))
        assert ana.verify().problems == ()

    def test_a_readers_snapshot_stands_while_another_writes(self, store: PostgresStore) -> None:
        say(store, "ana", "one")
        written = threading.Event()

        def read(transaction: Transaction) -> tuple[int, int]:
            def count() -> int:
                return int(transaction.execute("SELECT count(*) FROM records").fetchone()[0])

            before = count()
            writer = threading.Thread(target=lambda: (say(store, "ana", "two"), written.set()))
            writer.start()
            assert written.wait(10)
            writer.join()
            return before, count()

        assert store._link.read("ana", read) == (1, 1)
        assert len(texts(store, "ana")) == 2


class TestJobs:
    """Work in the background, shared by all workers of a database."""

    def test_a_job_is_done_once_and_gone(self, store: PostgresStore) -> None:
        done: list[tuple[str, str]] = []
        store.jobs.ask("ana", "tidy")
        store.jobs.ask("bob", "tidy")
        while store.jobs.take(lambda user, task: done.append((user, task))):
            pass
        assert done == [("ana", "tidy"), ("bob", "tidy")]
        assert store.jobs.waiting() == []

    def test_asked_twice_while_it_waits_it_is_done_once(self, store: PostgresStore) -> None:
        for _ in range(3):
            store.jobs.ask("ana", "tidy")
        done: list[str] = []
        while store.jobs.take(lambda user, task: done.append(user)):
            pass
        assert done == ["ana"]

    def test_asked_again_while_it_is_done_it_is_done_again(self, store: PostgresStore) -> None:
        store.jobs.ask("ana", "tidy")
        done: list[str] = []

        def do(user: str, task: str) -> None:
            if not done:
                store.jobs.ask("ana", "tidy")
            done.append(user)

        while store.jobs.take(do):
            pass
        assert done == ["ana", "ana"]

    def test_many_workers_do_each_job_once(self, url: str, store: PostgresStore) -> None:
        for number in range(30):
            store.jobs.ask(f"person {number}", "tidy")
        done: list[str] = []
        others = [PostgresStore(url) for _ in range(3)]

        def work(worker: PostgresStore) -> None:
            while worker.jobs.take(lambda user, task: done.append(user)):
                pass

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, [store, *others]))
        assert sorted(done) == sorted(f"person {number}" for number in range(30))
        for other in others:
            other.close()

    def test_a_killed_workers_job_is_taken_by_the_next(self, url: str, store: PostgresStore) -> None:
        store.jobs.ask("ana", "tidy")
        worker = subprocess.Popen(
            [sys.executable, "-c", HANGING, url], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "at it\n"
        assert store.jobs.take(lambda user, task: None) is None  # somebody is at it
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        done: list[str] = []
        deadline = time.monotonic() + 20  # until the server has noticed
        while not done and time.monotonic() < deadline:
            store.jobs.take(lambda user, task: done.append(user))
        assert done == ["ana"]

    def test_what_fails_is_put_off_and_said(self, store: PostgresStore) -> None:
        def fails(user: str, task: str) -> None:
            raise DataError("it is full of holes")

        store.jobs.ask("ana", "tidy")
        failed = store.jobs.take(fails)
        assert failed is not None
        assert failed.attempts == 1
        assert store.jobs.take(lambda user, task: None) is None
        (left,) = store.jobs.waiting()
        assert "full of holes" in left.failed

    def test_consolidation_is_such_a_job(self, url: str) -> None:
        with Memory.open(url, embedder=None) as memory:
            for text in ("I live in Paris.", "I moved to Berlin."):
                memory.for_user("ana").remember(text)
            diff = memory.consolidate_soon("ana").result(timeout=30)
            assert diff is not None
            assert diff.action == "consolidate"
            assert isinstance(memory.store, PostgresStore)
            assert memory.store.jobs.waiting() == []

    def test_erasing_a_person_drops_their_jobs(self, url: str, store: PostgresStore) -> None:
        with Memory.open(url, embedder=None) as memory:
            memory.for_user("ana").remember("hello there")
            store.jobs.ask("ana", "tidy")
            store.jobs.ask("bob", "tidy")
            memory.for_user("ana").erase()
        assert [job.user for job in store.jobs.waiting()] == ["bob"]


HANGING = """
import sys, time
from mnemon.memory.postgres_store import PostgresStore
def hang(user, task):
    print("at it", flush=True)
    time.sleep(600)
PostgresStore(sys.argv[1]).jobs.take(hang)
"""


class TestWorkCommand:
    def test_what_waits_is_done(
        self, url: str, store: PostgresStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store.jobs.ask("ana", "consolidate")
        assert run(["work", "--db", url, "--list", "--json"]) == 0
        assert '"ana"' in capsys.readouterr().out
        assert run(["work", "--db", url, "--once"]) == 0
        assert store.jobs.waiting() == []

    def test_a_task_of_a_newer_worker_is_left(self, url: str, store: PostgresStore) -> None:
        store.jobs.ask("ana", "translate")
        assert run(["work", "--db", url, "--once"]) == 0
        (left,) = store.jobs.waiting()
        assert "not known here" in left.failed

    def test_a_file_keeps_no_jobs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["work", "--db", str(tmp_path / "a.db"), "--once"]) == 2
        assert "keeps no jobs" in capsys.readouterr().err
