"""What becomes of what was acknowledged when something fails: each fault, done to a real Postgres some times.

    python benchmarks/fault_table.py [--quick] [--rounds 5] [--only "server killed"]

While writers write batches of three turns, the fault happens and is over again; then every batch that was
acknowledged is looked for. "There, not told": a batch that was written though the writer was not told so.
"Longest": how long one write took, in which it was tried again. So that a black hole does not take a minute
a round, it is given up after 3 seconds here and not after 65.
"""

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from faults import (
    NOTHING,
    Counted,
    Cut,
    Noted,
    Proxy,
    Server,
    count,
    killed_worker,
    resize,
    small_disk,
    until,
    writing,
)

from mnemon.memory import Memory, postgres_link
from mnemon.memory.postgres_store import PostgresStore

BEFORE = 10  # batches acknowledged before the fault, and after it


class Round(NamedTuple):
    counted: Counted
    noted: Noted


def counted(url: str, noted: Noted) -> Round:
    with closing(PostgresStore(url)) as store:
        return Round(count(store, noted.acknowledged), noted)


def worker_killed(server: Server) -> Round:
    url = server.new_database()
    PostgresStore(url).close()
    return counted(url, Noted(acknowledged=killed_worker(url, 0.3)))


def server_killed(server: Server) -> Round:
    noted, url = Noted(), server.new_database()
    with writing(url, noted):
        until(noted, BEFORE)
        server.kill()
        time.sleep(0.2)
        server.start()
        until(noted, BEFORE)
    return counted(url, noted)


def network_cut(server: Server, how: Cut) -> Round:
    noted, url = Noted(), server.new_database()
    with closing(Proxy(url)) as proxy, writing(proxy.url, noted):
        until(noted, BEFORE)
        proxy.cut(how)
        time.sleep(0.5)
        proxy.mend()
        until(noted, BEFORE)
    return counted(url, noted)


def cut_while_committing(server: Server, how: Cut) -> Round:
    """Twice: before the server has heard of it, and after it has done it."""
    noted, url = Noted(), server.new_database()
    with closing(Proxy(url)) as proxy:
        with writing(proxy.url, noted, writers=1):
            until(noted, BEFORE)
            proxy.at_commit = ("before", how)
            until(noted, BEFORE)
            proxy.at_commit = ("after", how)
            until(noted, BEFORE)
        assert proxy.cuts == 2
    return counted(url, noted)


def disk_full(server: Server) -> Round:
    """That of the tables; then there is room again."""
    noted = Noted()
    with small_disk(24) as disk:
        url = server.new_database("TABLESPACE", tablespace(server, disk))
        with writing(url, noted, writers=1, size=300_000):
            filled(noted)
            assert "is full" in noted.refused[-1], noted.refused[-1]
            resize(disk, 64)
            until(noted, BEFORE)
        found = counted(url, noted)
        drop(server, url)
    return found


def disk_full_of_log(_: Server) -> Round:
    """Of a whole server, which stops for want of room for its log; then there is room and it is started."""
    noted = Noted()
    with small_disk(110) as disk:
        server = Server(disk / "data")
        try:
            url = server.new_database()
            with writing(url, noted, writers=1, size=300_000):
                filled(noted)
                server.kill()
                resize(disk, 400)
                server.start()
                until(noted, BEFORE)
            return counted(url, noted)
        finally:
            server.close()


def filled(noted: Noted) -> None:
    deadline = time.monotonic() + 120
    while not noted.refused:
        assert time.monotonic() < deadline, "the disk does not fill"
        time.sleep(0.01)


def tablespace(server: Server, disk: Path) -> str:
    """One whose files lie there."""
    folder, name = disk / "tables", f"small_{time.time_ns()}"
    folder.mkdir()
    with psycopg.connect(server.url, autocommit=True) as connection:
        data = connection.execute("SHOW data_directory").fetchone()
        assert data is not None
        owner = Path(data[0]).stat()
        for path in (disk, folder):
            path.chmod(0o755)
        subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", str(folder)], check=True)
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'".encode())
    return name


def drop(server: Server, url: str) -> None:
    """The database, and the tablespace in which it lay."""
    name = urlsplit(url).path[1:]
    with psycopg.connect(server.url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT spcname FROM pg_database JOIN pg_tablespace s ON s.oid = dattablespace "
            "WHERE datname = %s",
            [name],
        ).fetchone()
        assert found is not None
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"DROP TABLESPACE {found[0]}".encode())


def ten_workers_start(server: Server) -> Round:
    """On a database without tables; each writes."""
    url, noted = server.new_database(), Noted()

    def work(_: int) -> None:
        with writing(url, noted, writers=1):
            until(noted, 1)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(work, range(10)))
    return counted(url, noted)


def two_migrations(server: Server) -> Round:
    """`mnemon migrate` of the same file, twice at once: both must say that both sides hold the same."""
    noted, url = Noted(), server.new_database()
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/people.db"
        with Memory.open(source, embedder=None, extractor=None) as memory:
            for number in range(200):
                batch = f"b{number}"
                memory.for_user("ana").remember([f"{batch}.{part}" for part in range(3)])
                noted.acknowledged.append(("ana", batch))
        command = [sys.executable, "-m", "mnemon", "migrate", "--from", source, "--to", url]
        runs = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)
        ]
        errors = [run.communicate()[1].decode() for run in runs]
        assert all(run.returncode == 0 for run in runs), errors
    with closing(PostgresStore(url)) as store:
        # Batches of a migration are larger than those that were written: its log has fewer events.
        return Round(count(store, noted.acknowledged)._replace(twice=0), noted)


FAULTS: dict[str, Callable[[Server], Round]] = {
    "worker killed (kill -9) while it writes": worker_killed,
    "server killed (kill -9 of all of it), started again": server_killed,
    "network cut: connections torn": functools.partial(network_cut, how="reset"),
    "network cut: a black hole": functools.partial(network_cut, how="swallow"),
    "torn while committing, before and after": functools.partial(cut_while_committing, how="reset"),
    "a black hole while committing, before and after": functools.partial(cut_while_committing, how="swallow"),
    "disk of the tables full, then room": disk_full,
    "disk of the whole server full, then room": disk_full_of_log,
    "ten workers make the tables at once": ten_workers_start,
    "two `mnemon migrate` at once": two_migrations,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="WORDS")
    options = parser.parse_args()
    postgres_link.STATEMENT_SECONDS, postgres_link.SILENCE_SECONDS = 2, 3
    print("| fault | rounds | acknowledged | found | lost | half | twice | there, not told | longest |")
    print("|---|---|---|---|---|---|---|---|---|")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="mnemon-faults-") as folder:
        server = Server(Path(folder) / "data")
        try:
            for name, fault in FAULTS.items():
                if options.only in name:
                    bad += row(name, fault, server, 1 if options.quick else options.rounds)
        finally:
            server.close()
    return 1 if bad else 0


def row(name: str, fault: Callable[[Server], Round], server: Server, rounds: int) -> int:
    """Print it; how much went wrong."""
    all_of_it, longest = NOTHING, 0.0
    for _ in range(rounds):
        try:
            found = fault(server)
        except OSError as error:
            print(f"| {name} | not run: {error} |")
            return 0
        all_of_it, longest = all_of_it + found.counted, max(longest, found.noted.longest)
    one = all_of_it
    print(
        f"| {name} | {rounds} | {one.acknowledged:,} | {one.found:,} | {one.lost} | {one.half} | {one.twice} "
        f"| {one.unacknowledged} | {longest:.1f} s |",
        flush=True,
    )
    return one.lost + one.half + one.twice


if __name__ == "__main__":
    sys.exit(main())
