"""Streams: hundreds at once, clients that leave, models that fail, servers that are stopped and killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from mnemon.agent.server import Limits, serving
from mnemon.errors import ModelError
from mnemon.memory import Memory
from mnemon.testing import ScriptedChatModel
from tests.server.models import Held

CHAT = "/v1/chat/completions"


def asking(text="Count.", **more):
    return {"messages": [{"role": "user", "content": text}], "stream": True, **more}


def in_thread(client, **more):
    """Somebody asks, and waits for the whole answer; begun by the caller."""
    return threading.Thread(target=client.post, args=(CHAT,), kwargs={"json": asking(**more)})


def reading(url, got):
    """Ana's stream, line by line, into a list; already begun."""

    def read():
        with httpx.stream("POST", url + CHAT, json=asking(user="ana"), timeout=20) as answer:
            got.extend(answer.iter_lines())

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def events(lines):
    """The chunks of a stream; the last is "[DONE]" where it ended well."""
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def said(chunks):
    found = [one for one in chunks if one != "[DONE]" and one.get("choices")]
    return "".join(one["choices"][0]["delta"].get("content", "") for one in found)


def finished(chunks):
    return chunks[-1] == "[DONE]" and chunks[-2]["choices"][0]["finish_reason"] == "stop"


def eventually(true, seconds=5.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def test_two_hundred_streams_at_once_are_all_whole_and_nobody_else_s(make_app, memory):
    model = ScriptedChatModel(lambda messages, _: f"{messages[-1]['content']} indeed, my friend.")

    async def ask(client, number):
        body = asking(f"I am number {number}.", user=f"person {number}")
        async with client.stream("POST", CHAT, json=body) as answer:
            assert answer.status_code == 200
            return events([line async for line in answer.aiter_lines()])

    async def ask_all(url):
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(200)))

    with serving(make_app(model)) as url:
        streams = asyncio.run(ask_all(url))
    assert all(finished(chunks) for chunks in streams)
    expected = [f"I am number {number}. indeed, my friend." for number in range(200)]
    assert [said(chunks) for chunks in streams] == expected
    for number in (0, 57, 199):
        turns = memory.for_user(f"person {number}").timeline()
        assert [turn.text for turn in turns] == [f"I am number {number}.", expected[number]]


def test_no_more_replies_are_written_at_once_than_allowed(make_app):
    model = Held(3, free=1)
    limits = Limits(at_once=4)
    with serving(make_app(model, limits=limits)) as url, httpx.Client(base_url=url, timeout=20) as client:
        threads = [in_thread(client, user=f"p{n}") for n in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            assert model.waiting.acquire(timeout=10)
        page = client.get("/metrics").text
        assert "mnemon_replies_writing 4.0" in page
        eventually(lambda: "mnemon_replies_waiting 8.0" in client.get("/metrics").text)
        model.go.set()
        for thread in threads:
            thread.join()
    assert model.most == 4


def test_a_full_queue_says_when_to_come_back(make_app):
    model = Held(2, free=1)
    limits = Limits(at_once=1, waiting=3, waiting_each=2)
    with serving(make_app(model, limits=limits)) as url, httpx.Client(base_url=url, timeout=20) as client:
        answers: list[int] = []

        def ask(user):
            answers.append(client.post(CHAT, json=asking(user=user)).status_code)

        def waiting(count):
            return f"mnemon_replies_waiting {count}.0" in client.get("/metrics").text

        threads = [threading.Thread(target=ask, args=(user,)) for user in ("ana", "ana", "ana", "ben")]
        threads[0].start()
        assert model.waiting.acquire(timeout=10)
        for count, thread in enumerate(threads[1:3], start=1):
            thread.start()
            eventually(lambda count=count: waiting(count))
        own = client.post(CHAT, json=asking(user="ana"))
        assert own.status_code == 429, "ana's share of the queue is full"
        threads[3].start()
        eventually(lambda: waiting(3))
        full = client.post(CHAT, json=asking(user="eve"))
        assert full.status_code == 429, "the queue is full"
        assert int(full.headers["retry-after"]) >= 1
        assert full.json()["error"]["type"] == "rate_limit_error"
        model.go.set()
        for thread in threads:
            thread.join()
        assert answers == [200] * 4


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_reply_and_what_was_said_is_kept(make_app, memory, stream):
    model = Held(1_000, free=3)
    with serving(make_app(model)) as url:
        body = asking(user="ana") | {"stream": stream}
        with httpx.Client(base_url=url, timeout=0.5 if not stream else 20) as client:
            if stream:
                with client.stream("POST", CHAT, json=body) as answer:
                    lines = answer.iter_lines()  # kept: a generator that is dropped closes the connection
                    assert "role" in next(lines)
                    assert model.waiting.acquire(timeout=10)
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(CHAT, json=body)
        time.sleep(0.1)  # the server has heard that the connection is closed
        model.go.set()
        eventually(lambda: memory.for_user("ana").timeline())
    count, reply = memory.for_user("ana").timeline()
    assert count.text == "Count."
    assert reply.text.startswith("0 1 2")
    assert len(reply.text.split()) < 1_000


def test_one_who_leaves_the_queue_was_never_there(make_app, memory):
    model = Held(2, free=1)
    limits = Limits(at_once=1)
    with serving(make_app(model, limits=limits)) as url, httpx.Client(base_url=url, timeout=20) as client:
        first = in_thread(client, user="ana")
        first.start()
        assert model.waiting.acquire(timeout=10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url + CHAT, json=asking(user="ben"), timeout=0.3)
        eventually(lambda: "mnemon_replies_waiting 0.0" in client.get("/metrics").text)
        model.go.set()
        first.join()
    assert memory.users() == ["ana"]


def test_a_model_that_fails_at_once_answers_with_a_status(make_app):
    model = Held(2, error=ModelError("Out of memory.", hint="Use a smaller model."))
    model.go.set()
    with serving(make_app(model)) as url:
        answer = httpx.post(url + CHAT, json=asking("Name a colour!") | {"stream": False})
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "message": "Out of memory. Use a smaller model.",
        "type": "server_error",
        "code": "model_unavailable",
        "param": None,
        "hint": "Use a smaller model.",
    }


def test_a_model_that_fails_later_says_so_in_the_stream(make_app, caplog):
    model = Held(5, free=2, error=ModelError("Out of memory."))
    model.go.set()
    with serving(make_app(model)) as url:
        chunks = events(httpx.post(url + CHAT, json=asking()).text.splitlines())
    assert said(chunks) == "0 1"
    assert chunks[-1]["error"]["code"] == "model_unavailable"
    assert "[DONE]" not in chunks


def test_what_is_said_in_one_conversation_waits_for_the_reply_before(make_app, memory):
    model = Held(2, free=1)
    with serving(make_app(model)) as url, httpx.Client(base_url=url, timeout=20) as client:
        asked = [f"Number {n}." for n in range(3)]
        threads = [in_thread(client, text=text, user="ana", thread="one") for text in asked]
        for thread in threads:
            thread.start()
        assert model.waiting.acquire(timeout=10)
        assert not model.waiting.acquire(timeout=0.2)
        model.go.set()
        for thread in threads:
            thread.join()
    assert model.most == 1
    assert [turn.role for turn in memory.for_user("ana").timeline()] == ["user", "assistant"] * 3


def test_stopping_finishes_what_is_being_said(make_app, memory):
    model = Held(5, free=2)
    got: list[str] = []

    with serving(make_app(model)) as url:
        reader = reading(url, got)
        assert model.waiting.acquire(timeout=10)
        threading.Timer(0.3, model.go.set).start()
    reader.join()
    assert finished(events(got))
    assert said(events(got)) == "0 1 2 3 4"
    assert memory.for_user("ana").timeline()[-1].text == "0 1 2 3 4"


def test_stopping_does_not_wait_for_ever(make_app, memory):
    model = Held(10_000, free=2)
    limits = Limits(grace_seconds=0.2)
    got: list[str] = []

    with serving(make_app(model, limits=limits), limits=limits) as url:
        reader = reading(url, got)
        assert model.waiting.acquire(timeout=10)
        threading.Timer(0.6, model.go.set).start()
    reader.join()
    assert events(got)[-1] == "[DONE]", "the stream ends as streams do"
    kept = memory.for_user("ana").timeline()[-1].text
    assert kept.startswith("0 1")
    assert len(kept.split()) < 10_000


def test_erasing_somebody_ends_what_is_being_said_to_them(make_app, memory):
    model = Held(1_000, free=2)
    with serving(make_app(model)) as url, httpx.Client(base_url=url, timeout=20) as client:
        talk = in_thread(client, user="ana")
        talk.start()
        assert model.waiting.acquire(timeout=10)
        threading.Timer(0.2, model.go.set).start()
        answer = client.post("/api/erase", params={"user": "ana"}, json={"confirm": "ana"})
        assert answer.status_code == 200, answer.text
        talk.join()
    assert memory.for_user("ana").timeline() == [], "nothing was written after the erasing"


def test_nothing_comes_back_of_somebody_who_was_erased(make_app, memory):
    limits = Limits(quiet_seconds=0.2)
    with serving(make_app(limits=limits)) as url, httpx.Client(base_url=url, timeout=20) as client:
        client.post(CHAT, json=asking("I am allergic to nuts.", user="ana"))
        assert client.post("/api/erase", params={"user": "ana"}, json={"confirm": "ana"}).is_success
        time.sleep(0.5)
        assert memory.users() == []
        client.post(CHAT, json=asking("I am allergic to nuts.", user="ben"))
        eventually(lambda: memory.for_user("ben").profiles())  # of ben, it is tidied up


@pytest.fixture
def killable(db):
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("slow_server.py")), str(db)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_kill_during_a_stream_loses_nothing_acknowledged(killable, db):
    process, url = killable
    with httpx.Client(base_url=url, timeout=20) as client:
        kept = [f"I like thing number {number}." for number in range(5)]
        ana = {"user": "ana"}
        for text in kept:
            assert client.post("/api/remember", params=ana, json={"said": text}).is_success
        done = client.post(CHAT, json=asking("Quickly!", max_tokens=3_000, **ana))
        assert finished(events(done.text.splitlines()))
        with client.stream("POST", CHAT, json=asking("Say it slowly.", **ana)) as answer:
            lines = answer.iter_lines()
            while "word" not in next(lines):
                pass
            during = "I said this while it spoke."
            assert httpx.post(f"{url}/api/remember", params=ana, json={"said": during}).is_success
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(httpx.HTTPError):
                list(lines)
    process.wait()
    with Memory.open(db, embedder=None) as memory:
        ana = memory.for_user("ana")
        texts = [turn.text for turn in ana.timeline()]
        assert set(kept) <= set(texts)
        assert during in texts
        assert texts.count("Quickly!") == 1
        assert any(text.startswith("word word") for text in texts)
        assert "Say it slowly." not in texts, "a turn is there whole or not at all"
        assert ana.verify()


def test_a_terminated_server_ends_in_order(killable, db):
    process, url = killable
    httpx.post(f"{url}/api/remember", json={"said": "I play the cello."})
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert process.stdout.read().strip() == "closed"
    assert not db.with_name(f"{db.name}-wal").exists()


def test_two_styles_can_be_compared_side_by_side(make_app, memory):
    model = Held(3, free=1)
    with serving(make_app(model)) as url, httpx.Client(base_url=url, timeout=20) as client:
        styles = ({"concise": 1.0}, {"concise": -1.0})
        threads = [in_thread(client, user="ana", temporary=True, persona=style) for style in styles]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert model.waiting.acquire(timeout=10), "they are written at once"
        model.go.set()
        for thread in threads:
            thread.join()
    assert memory.users() == []
