"""What is put off on Postgres and done by any worker: each thing is done, and done once, whoever dies."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mnemon.errors import UsageError
from mnemon.memory import Memory
from mnemon.memory.indexing import EMBED_AT_ONCE, FEW
from mnemon.memory.postgres_jobs import EMBED
from mnemon.memory.postgres_store import PostgresStore
from mnemon.memory.seams import VectorsOf
from mnemon.profiles import PatternProfiler
from mnemon.testing import HashEmbedder
from tests import postgres

MANY = [f"On day {number} I baked bread number {number}." for number in range(3 * FEW)]


@pytest.fixture
def url() -> str:
    return postgres.empty()


@pytest.fixture
def memory(url: str) -> Iterator[Memory]:
    with Memory.open(url, embedder=HashEmbedder(), extractor=None, embed="later") as opened:
        yield opened


def embedded(memory: Memory, user: str = "ana") -> int:
    return sum(memory.for_user(user).stats().vectors.values())


class TestEmbeddingLater:
    def test_what_came_in_at_once_is_found_by_words_and_embedded_by_a_job(self, memory: Memory) -> None:
        ana = memory.for_user("ana")
        ana.remember(MANY)
        hit = ana.recall("bread number 7", 1)[0]
        assert hit.text == MANY[7]
        assert "until it is embedded" in str(hit.why["note"])
        assert embedded(memory) == 0
        assert memory.chores is not None
        memory.chores.do()
        assert embedded(memory) == len(MANY)
        hit = ana.recall("bread number 7", 1)[0]
        assert hit.text == MANY[7]
        assert "note" not in hit.why

    def test_then_it_is_found_as_if_it_had_been_embedded_at_once(self, url: str, memory: Memory) -> None:
        ana = memory.for_user("ana")
        ana.remember(MANY)
        ana.recall("bread")
        assert memory.chores is not None
        memory.chores.do()
        with Memory.open(url, embedder=HashEmbedder(), extractor=None) as other:
            for query in ("the seventh loaf", "baking on day 30"):
                expected = [(hit.id, hit.score) for hit in other.for_user("ana").recall(query, 10)]
                assert [(hit.id, hit.score) for hit in ana.recall(query, 10)] == [
                    (name, pytest.approx(score, abs=1e-4)) for name, score in expected
                ]

    def test_a_few_are_embedded_by_the_search_that_needs_them(self, memory: Memory) -> None:
        memory.for_user("ana").remember(MANY[:FEW])
        assert memory.chores is not None
        assert memory.chores.waiting() == []
        memory.for_user("ana").recall("bread")
        assert embedded(memory) == FEW

    def test_many_said_one_by_one_are_asked_for_by_the_search(self, memory: Memory) -> None:
        for text in MANY[: FEW + 1]:
            memory.for_user("ana").remember(text)
        assert memory.for_user("ana").recall("bread number 3", 1)[0].text == MANY[3]
        assert memory.chores is not None
        assert [job.task for job in memory.chores.waiting()] == [EMBED + HashEmbedder().name]

    def test_only_a_worker_with_that_embedder_takes_it(self, url: str, memory: Memory) -> None:
        memory.for_user("ana").remember(MANY)
        assert memory.chores is not None
        with Memory.open(url, embedder=None) as other:
            assert other.chores is not None
            other.chores.do()
        assert len(memory.chores.waiting()) == 1
        assert memory.chores.waiting()[0].attempts == 0

    def test_a_slice_keeps_what_it_has_and_asks_for_the_rest(self, memory: Memory) -> None:
        memory.for_user("ana").remember([f"Turn {number}." for number in range(EMBED_AT_ONCE + 100)])
        ana = memory.for_user("ana")
        assert ana.embed(lambda: True) is False
        assert embedded(memory) == EMBED_AT_ONCE
        assert ana.embed() is True
        assert embedded(memory) == EMBED_AT_ONCE + 100

    def test_a_file_has_nobody_to_do_it_later(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="keeps no jobs"):
            Memory.open(tmp_path / "people.db", embed="later")


def test_nobody_is_at_the_same_task_for_the_same_person(url: str) -> None:
    store = PostgresStore(url)
    store.jobs.ask("ana", "tidy")
    done: list[tuple[str, str]] = []

    def do(user: str, task: str) -> None:
        done.append((user, task))
        if len(done) == 1:
            store.jobs.ask("ana", "tidy")
            store.jobs.ask("bob", "tidy")
            assert store.jobs.take(do) is not None
            assert store.jobs.take(do) is None

    store.jobs.take(do)
    assert done == [("ana", "tidy"), ("bob", "tidy")]
    assert [job.user for job in store.jobs.waiting()] == ["ana"]
    store.close()


def test_a_defect_in_one_job_does_not_stop_the_others(url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = PostgresStore(url)
    store.jobs.ask("ana", "tidy")
    store.jobs.ask("bob", "tidy")
    done: list[str] = []

    def do(user: str, task: str) -> None:
        done.append(user)
        if user == "ana":
            raise ZeroDivisionError("her secret")

    while store.jobs.take(do):
        pass
    assert done == ["ana", "bob"]
    (left,) = store.jobs.waiting()
    assert "ZeroDivisionError" in left.failed
    assert "secret" not in left.failed
    store.close()


def test_a_conversation_is_tidied_up_now_and_summarised_when_it_is_over(memory: Memory) -> None:
    assert memory.chores is not None
    memory.for_user("ana").remember(["I live in Porto.", "I work as a nurse."], session="monday")
    memory.chores.ask_after_talking("ana")
    memory.chores.do()
    (later,) = memory.chores.waiting()
    assert later.task == "consolidate"
    assert memory.for_user("ana").sessions()[0].summary == "", "it may be going on"


def test_nobody_comes_back_by_what_was_put_off(url: str) -> None:
    with Memory.open(url, embedder=HashEmbedder(), profiler=PatternProfiler(), embed="later") as memory:
        assert memory.chores is not None
        memory.chores.ask_after_talking("ghost")
        memory.chores.do()
        assert memory.users() == []


# Workers are forked by a process that has loaded everything, so that they are at work at once.
NURSERY = """
import os, signal, sys
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder
with Memory.open(":memory:", embedder=HashEmbedder()) as memory:
    memory.for_user("ana").remember("I live in Porto.")
    memory.for_user("ana").consolidate()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if os.fork() == 0:
        with Memory.open(sys.argv[1], embedder=HashEmbedder(), embed="later") as memory:
            print(os.getpid(), flush=True)
            while True:
                memory.chores.do()
"""
PERSONS = 100


@pytest.fixture
def nursery(url: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        start_new_session=True,
    )
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def born(nursery: "subprocess.Popen[str]") -> int:
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write("\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


def test_each_of_two_hundred_jobs_is_done_once_though_workers_are_killed(
    memory: Memory, nursery: "subprocess.Popen[str]"
) -> None:
    """Two tasks for each of a hundred persons, three workers, one of which dies every now and then."""
    assert memory.chores is not None
    for number in range(PERSONS):
        person = memory.for_user(f"p{number}")
        person.remember(MANY[: FEW + 1], session="bread", time="2024-05-01T10:00:00+00:00")
        memory.chores.ask_to_consolidate(f"p{number}")
    assert len(memory.chores.waiting()) == 2 * PERSONS
    moments, killed, end = random.Random(7), 0, time.monotonic() + 60
    workers = [born(nursery) for _ in range(3)]
    while memory.chores.waiting():
        assert time.monotonic() < end, "the jobs are not done"
        time.sleep(moments.uniform(0.0, 0.2))
        os.kill(workers.pop(moments.randrange(3)), signal.SIGKILL)
        killed += 1
        workers.append(born(nursery))
    assert killed >= 5
    for number in range(PERSONS):
        person = memory.for_user(f"p{number}")
        assert [one.action for one in person.log()] == ["consolidate", "remember"]
        (session,) = person.sessions()
        assert session.summary
        hashes = memory.store.read(f"p{number}", VectorsOf(HashEmbedder().name)).hashes
        assert max(Counter(hashes).values()) == 1
        assert len(hashes) >= FEW + 1


def test_the_database_itself_holds_each_effect_once(url: str) -> None:
    """What two workers computed at the same time is kept once."""
    with (
        Memory.open(url, embedder=HashEmbedder(), extractor=None) as one,
        Memory.open(url, embedder=HashEmbedder(), extractor=None) as two,
    ):
        one.for_user("ana").remember(MANY)
        keep = one.store.read("ana", VectorsOf("nobody"))
        assert keep.hashes == []
        for memory in (one, two):
            memory.for_user("ana").embed()
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('mnemon.user', 'ana', false)")
        found = connection.execute("SELECT sum(count) FROM mnemon.vectors").fetchone()
    assert found is not None
    assert found[0] == len(MANY)
