"""`mnemon model-server` as people start it, and the settings that name one."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from mnemon.agent import EndpointChatModel, LocalChatModel, ReplyOptions, open_model
from mnemon.agent.decoding import Branch, grounding
from mnemon.agent.model_server import ServedChatModel, create_model_app
from mnemon.agent.server import serving
from mnemon.cli import main
from mnemon.errors import EndpointError, UsageError
from mnemon.profiles import Persona
from mnemon.testing import ScriptedChatModel
from tests.agent import tiny_llama
from tests.agent.endpoint_server import serving as endpoint

TALK = [
    {"role": "system", "content": "You are a friendly assistant. The user's beagle is called Biscuit."},
    {"role": "user", "content": "What is my beagle called, and what might I feed it?"},
]


@contextmanager
def started(*arguments: str, **more):
    command = [sys.executable, "-m", "mnemon", "model-server", "--port", "0", "--json", *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **more}
    )
    try:
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.model
def test_the_default_model_says_there_what_it_says_here(home_with_weights):
    options = ReplyOptions(max_tokens=40)
    without = Branch(name="without", messages=tuple(TALK[1:]))
    plan = Persona().leaning("concise", 0.9).plan(TALK[-1]["content"])
    here = LocalChatModel.open()
    with started() as (process, ready):
        there = ServedChatModel(ready["url"])
        assert ready["model"] == there.name == here.name
        for make in (lambda model: model.steering_for(plan), lambda _: grounding(without)):
            replies = [model.steer(TALK, make(model), options=options).reply for model in (here, there)]
            assert replies[0] == replies[1]
            assert replies[0].trace.kl > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_it_ends_with_whoever_started_it(folder):
    with started("--model", str(folder), "--end-with-stdin") as (process, ready):
        assert open_model(ready["url"]).count_tokens("four") == 4
        process.stdin.close()
        process.stdin = None
        assert process.wait(timeout=30) == 0


def test_one_that_is_killed_in_the_middle_of_a_reply_is_an_endpoint_error(tmp_path):
    folder = tiny_llama.write_folder(tmp_path / "tiny", context=4_096)
    with started("--model", str(folder)) as (process, ready):
        model = open_model(ready["url"])
        stream = model.stream(TALK, ReplyOptions(max_tokens=3_500))
        next(stream)
        process.kill()
        with pytest.raises(EndpointError, match="cannot be reached"):
            _ = stream.reply
        with pytest.raises(EndpointError, match="cannot be reached"):
            model.reply(TALK)


def test_beyond_loopback_it_wants_a_key(capsys):
    assert main(["model-server", "--host", "0.0.0.0"]) == 2
    assert "MNEMON_MODEL_KEY" in capsys.readouterr().err


def test_an_address_is_asked_what_it_is(local, monkeypatch):
    with serving(create_model_app(local, key="0123456789abcdef")) as url:
        monkeypatch.setenv("MNEMON_MODEL_KEY", "0123456789abcdef")
        for address in (url, f"{url}/v1", f"{url}/"):
            assert isinstance(open_model(address), ServedChatModel)
    with pytest.raises(EndpointError, match="cannot be reached"):
        open_model(url)


def test_any_other_endpoint_is_named_with_its_model():
    with endpoint(ScriptedChatModel(["Hello."])) as server:
        model = open_model(f"qwen3:8b@{server.url}")
        assert isinstance(model, EndpointChatModel)
        assert model.reply(TALK).text == "Hello."
        with pytest.raises(UsageError, match="has 0 models"):
            open_model(server.url)


def test_chat_takes_the_address_of_one(local, tmp_path, capsys):
    with serving(create_model_app(local)) as url:
        db = str(tmp_path / "people.db")
        assert main(["chat", "--model", url, "--db", db, "--user", "ana", "--once", "Hi", "--no-memory"]) == 0
    assert capsys.readouterr().out.strip()


def test_the_doctor_asks_whether_it_is_there(local, monkeypatch, capsys):
    def row():
        main(["doctor", "--json"])
        return next(one for one in json.loads(capsys.readouterr().out) if one["name"] == "model")

    with serving(create_model_app(local)) as url:
        monkeypatch.setenv("MNEMON_MODEL", url)
        assert (row()["state"], row()["found"]) == ("ok", f"tiny@fp32, at {url}")
    gone = row()
    assert (gone["state"], gone["exit_code"]) == ("fail", 7)
    assert "Is the server running" in gone["todo"]
