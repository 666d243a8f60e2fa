"""Nothing acknowledged is lost, whatever fails: the rounds of `benchmarks/fault_table.py`, once each, and
what is said meanwhile. Each is done to a real server of its own, which is killed."""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from mnemon.errors import StoreError
from mnemon.memory import postgres_link
from mnemon.memory.postgres_store import PostgresStore

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fault_table
import faults

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and file systems of Linux")


@pytest.fixture(scope="module")
def server() -> Iterator[faults.Server]:
    # Not in pytest's folder: as root the server is another user, and may not always look in there.
    with tempfile.TemporaryDirectory(prefix="mnemon-faults-") as folder:
        server = faults.Server(Path(folder) / "data")
        yield server
        server.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence is given up after three seconds, and not after a minute."""
    monkeypatch.setattr(postgres_link, "STATEMENT_SECONDS", 2)
    monkeypatch.setattr(postgres_link, "SILENCE_SECONDS", 3)


SLOW = {"disk of the whole server full, then room"}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in fault_table.FAULTS],
)
def test_nothing_acknowledged_is_lost(server: faults.Server, fault: str) -> None:
    try:
        found, _ = fault_table.FAULTS[fault](server)
    except OSError as error:
        pytest.skip(str(error))
    assert found.acknowledged >= 10
    assert (found.lost, found.half, found.twice) == (0, 0, 0)


def test_a_server_that_stays_away_is_said_in_time(
    server: faults.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = faults.Proxy(server.new_database())
    with closing(proxy), closing(PostgresStore(f"{proxy.url}?connect_timeout=2")) as store:
        store.apply("ana", faults.batch_of("before"), action="remember", at=faults.SAID)
        for how in ("reset", "swallow"):
            proxy.cut(how)
            began = time.monotonic()
            with monkeypatch.context() as patch:
                patch.setattr(postgres_link, "RETRY_SECONDS", 0.5)
                patch.setattr(postgres_link, "CONNECT_SECONDS", 0.5)
                with pytest.raises(StoreError, match="cannot be reached"):
                    store.apply("ana", faults.batch_of(how), action="remember", at=faults.SAID)
            assert time.monotonic() - began < 15
            proxy.mend()
        assert store.apply("ana", faults.batch_of("after"), action="remember", at=faults.SAID).number == 2


def test_one_that_waits_for_another_writer_too_long_says_so(server: faults.Server) -> None:
    url = server.new_database()
    with closing(PostgresStore(url)) as store, psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('ana', 0))")
        with pytest.raises(StoreError, match="did not finish in 2 seconds; nothing was written"):
            store.apply("ana", faults.batch_of("hers"), action="remember", at=faults.SAID)
        store.apply("bob", faults.batch_of("his"), action="remember", at=faults.SAID)


def test_a_writer_that_falls_silent_does_not_hold_the_person(server: faults.Server) -> None:
    """A laptop that is shut in the midst of a transaction; it writes when it wakes."""
    url, silent, woken = server.new_database(), threading.Event(), threading.Event()

    def work(transaction: object) -> None:
        if not silent.is_set():
            silent.set()
            woken.wait(20)
        transaction.execute("SELECT 1").fetchone()  # type: ignore[attr-defined]
        attempts.append(1)

    attempts: list[int] = []
    with closing(PostgresStore(url)) as asleep, closing(PostgresStore(url)) as store:
        sleeper = threading.Thread(target=asleep._link.write, args=("ana", work))
        sleeper.start()
        assert silent.wait(10)
        time.sleep(2.2)
        store.apply("ana", faults.batch_of("hers"), action="remember", at=faults.SAID)
        woken.set()
        sleeper.join(10)
        assert attempts == [1]
