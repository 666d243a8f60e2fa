"""Several workers behind one address: what one of them is told, every other knows, whichever of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from mnemon.agent.server import Limits, TokenFile, serve_many
from mnemon.errors import StoreError
from mnemon.memory import Memory
from mnemon.memory.postgres_store import PostgresStore
from mnemon.testing import HashEmbedder
from tests import postgres

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"


class Many(NamedTuple):
    """A server of two workers, and a way to each of them."""

    db: str
    url: str
    home: Path
    process: subprocess.Popen

    @contextmanager
    def worker(self, number):
        """A connection that this worker has taken; all that is asked through it, it answers."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with httpx.Client(base_url=self.url, timeout=20) as client:
                if client.get("/health").json()["worker"] == str(number):
                    yield client
                    return
        raise AssertionError(f"worker {number} takes no connection")

    def pid(self, number):
        return int((self.home / f"worker-{number}").read_text())


@contextmanager
def many(db, home):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.many_server", db, "2", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"MNEMON_HOME": str(home)},
    )
    try:
        yield Many(db, json.loads(process.stdout.readline())["url"], home, process)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with many(postgres.new_database(), tmp_path_factory.mktemp("many")) as started:
        yield started


@pytest.fixture
def one(server):
    with server.worker(1) as client:
        yield client


@pytest.fixture
def two(server):
    with server.worker(2) as client:
        yield client


def say(client, text, user="ana"):
    answer = client.post("/api/remember", params={"user": user}, json={"said": text})
    assert answer.status_code == 200, answer.text
    return answer.json()["ids"]


def recall(client, query, user="ana", k=5):
    answer = client.post("/api/recall", params={"user": user}, json={"query": query, "k": k})
    assert answer.status_code == 200, answer.text
    return answer.json()


def chat(client, text, **more):
    body = {"messages": [{"role": "user", "content": text}], **more}
    answer = client.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def test_what_one_was_told_the_other_finds_at_once(one, two):
    for number in range(10):
        writer, reader = (one, two) if number % 2 else (two, one)
        say(writer, f"My parrot number {number} is called Pico{number}.", user="reader")
        assert f"Pico{number}" in recall(reader, f"parrot Pico{number}", user="reader")[0]["text"]


def test_what_one_forgot_is_gone_from_the_other(one, two):
    (name,) = say(one, "The code of the safe is 4711.", user="eve")
    assert recall(two, "code of the safe", user="eve")
    answer = one.post("/api/forget", params={"user": "eve"}, json={"target": name})
    assert answer.status_code == 200, answer.text
    assert recall(two, "code of the safe", user="eve") == []
    assert two.get("/api/timeline", params={"user": "eve"}).json() == []


def test_words_are_found_as_by_an_index_made_afresh_however_many_wrote(server, one, two):
    recall(one, "book", user="writer")  # from here on each of them only catches up
    recall(two, "book", user="writer")

    def write(number):
        say((one, two)[number % 2], f"I own book number {number} on gardening.", user="writer")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with Memory.open(server.db, embedder=HashEmbedder()) as memory:
        fresh = memory.for_user("writer")
        assert len(fresh.timeline()) == 40
        for query in ("book number 7", "gardening", "which books do I own", "number 39"):
            expected = [(hit.id, pytest.approx(hit.score, abs=1e-3)) for hit in fresh.recall(query, 10)]
            for worker in (one, two):
                found = recall(worker, query, user="writer", k=10)
                assert [(hit["id"], hit["score"]) for hit in found] == expected


def test_a_thread_goes_on_at_another_worker(one, two):
    chat(one, "I have a cat called Mia.", user="tom", thread="monday")
    chat(two, "She sleeps all day.", user="tom", thread="monday")
    told = chat(one, "Recount what I said.", user="tom", thread="monday")
    assert told == "I have a cat called Mia. | She sleeps all day."


def test_a_trait_set_at_one_holds_at_the_other(one, two):
    chat(two, "Hello there.", user="kim")  # an assistant of hers is at rest there
    assert one.put("/api/profile/traits/concise", params={"user": "kim"}, json={"weight": 1.0}).is_success
    body = {"messages": [{"role": "user", "content": "Tell me of lions."}], "user": "kim", "explain": True}
    traits = two.post(CHAT, json=body).json()["mnemon"]["traits"]
    assert [trait["trait"] for trait in traits] == ["concise"]


def test_a_token_holds_for_all_and_is_revoked_for_all_at_once(server, one, two):
    tokens = TokenFile.beside(server.db, home=server.home)
    token, secret = tokens.new("ana")
    header = {"Authorization": f"Bearer {secret}"}
    for worker in (one, two):
        assert worker.get("/api/whoami", headers=header).json()["user"] == "ana"
    tokens.revoke(token.id)
    for worker in (one, two):
        assert worker.get("/api/whoami", headers=header).status_code == 401


def test_whichever_is_asked_tells_of_all(one, two):
    def counted(client):
        lines = client.get("/metrics").text.splitlines()
        route = 'mnemon_requests_total{method="GET",route="/api/stats",status="200"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(route))

    before = counted(one)
    for client, times in ((one, 3), (two, 4)):
        for _ in range(times):
            client.get("/api/stats", params={"user": "ana"})
    assert counted(one) - before == counted(two) - before == 7


def test_what_is_said_in_a_conversation_is_tidied_up_by_whoever_has_a_moment(server, one):
    chat(one, "I live in Porto.", user="ben")
    store = PostgresStore(server.db)
    try:
        end = time.monotonic() + 20
        while not any(job.user == "ben" for job in store.jobs.waiting()):  # to be summarised when it is over
            assert time.monotonic() < end
            time.sleep(0.05)
        while not any(log["action"] == "consolidate" for log in one.get("/api/log?user=ben").json()):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        store.close()
    page = one.get("/metrics").text
    assert 'mnemon_jobs{state="left"} 0.0' in page
    assert 'mnemon_jobs{state="waiting"}' in page


def test_what_comes_in_at_once_is_answered_for_by_words_and_soon_by_meaning(one, two):
    turns = [{"role": "user", "content": f"On day {number} I baked bread {number}."} for number in range(60)]
    said = one.post("/api/remember", params={"user": "lea"}, json={"said": turns})
    assert said.status_code == 200, said.text
    assert recall(two, "bread 7", user="lea")[0]["text"] == "On day 7 I baked bread 7."
    end = time.monotonic() + 20
    while "note" in recall(two, "bread 7", user="lea")[0]["why"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert two.get("/api/stats", params={"user": "lea"}).json()["vectors"] == {HashEmbedder().name: 60}


def test_nobody_is_erased_before_every_worker_is_silent_to_them(server, one, two):
    body = {"messages": [{"role": "user", "content": "Tell me slowly."}], "user": "zoe", "stream": True}
    with two.stream("POST", CHAT, json=body) as answer:
        lines = answer.iter_lines()
        while "word" not in next(lines):
            pass
        erased = one.post("/api/erase", params={"user": "zoe"}, json={"confirm": "zoe"})
        assert erased.status_code == 200, erased.text
        assert list(lines)[-2] == "data: [DONE]"
    time.sleep(0.5)  # longer than a conversation rests here
    assert "zoe" not in one.get("/api/users").json()
    store = PostgresStore(server.db)
    assert "zoe" not in {job.user for job in store.jobs.waiting()}
    store.close()


def test_a_worker_that_is_killed_takes_nothing_along(tmp_path):
    db = postgres.new_database()
    with many(db, tmp_path) as server, server.worker(1) as one, server.worker(2) as two:
        chat(one, "I have a cat called Mia.", user="tom", thread="monday")
        body = {"messages": [{"role": "user", "content": "Tell me slowly."}], "user": "tom"}
        with one.stream("POST", CHAT, json=body | {"thread": "monday", "stream": True}) as answer:
            lines = answer.iter_lines()
            while "word" not in next(lines):
                pass
            killed = server.pid(1)
            os.kill(killed, signal.SIGKILL)
            with pytest.raises(httpx.HTTPError):
                list(lines)
        told = chat(two, "Recount what I said.", user="tom", thread="monday")
        assert told == "I have a cat called Mia. | Tell me slowly."
        with server.worker(1) as again:
            assert server.pid(1) != killed
            assert "Mia" in recall(again, "cat", user="tom")[0]["text"]
            page = again.get("/metrics").text
            assert "mnemon_replies_writing 0.0" in page, "what the dead one was writing is written no more"
        server.process.terminate()
        told = server.process.stderr.read()
        assert f"Worker 1 (process {killed}) was killed by SIGKILL" in told
        assert server.process.wait(20) == 0
    with Memory.open(db, embedder=None) as memory:
        assert memory.for_user("tom").verify()


def test_stopping_lets_them_say_it_to_the_end_and_a_second_signal_cuts_it(tmp_path):
    db = str(tmp_path / "people.db")
    with many(db, tmp_path) as server, server.worker(2) as two:
        body = {"messages": [{"role": "user", "content": "Tell me slowly."}], "user": "tom", "stream": True}
        with two.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            while "word" not in next(lines):
                pass
            server.process.send_signal(signal.SIGINT)
            for _ in range(10):  # it speaks on
                assert "error" not in next(lines)
            server.process.send_signal(signal.SIGINT)
            assert list(lines)[-2] == "data: [DONE]"
        assert server.process.wait(20) == 0
    with Memory.open(db, embedder=None) as memory:
        asked, told = memory.for_user("tom").timeline()
        assert asked.text == "Tell me slowly."
        assert told.text.startswith("word word")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    with many(str(tmp_path / "people.db"), tmp_path) as server:
        workers = [server.pid(1), server.pid(2)]
        server.process.kill()
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def failing(number):
    raise StoreError("The disk is full.", hint=f"Worker {number} says so.")


def test_what_keeps_a_worker_from_answering_is_said_by_the_parent():
    with pytest.raises(StoreError, match=r"The disk is full\.\nWorker \d says so"):
        serve_many(failing, workers=2, host="127.0.0.1", port=0, limits=Limits(grace_seconds=0.1))
