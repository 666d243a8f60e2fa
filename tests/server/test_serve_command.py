"""`mnemon serve` as people start it, with the default model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai
import pytest

from mnemon.cli import main
from tests.agent import tiny_gguf


@pytest.mark.model
def test_it_answers_the_official_client_and_ends_in_order(home_with_weights, tmp_path):
    db = tmp_path / "people.db"
    command = [sys.executable, "-m", "mnemon", "serve", "--port", "0", "--db", str(db), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "}\n")
        ready = json.loads("".join(lines) + "}")
        assert ready["db"] == str(db)
        assert ready["tokens_required"] is False
        with openai.OpenAI(base_url=f"{ready['url']}/v1", api_key="none", max_retries=0) as api:
            reply = api.chat.completions.create(
                model="default",
                messages=[{"role": "user", "content": "My beagle is called Biscuit."}],
                user="ana",
                max_tokens=12,
            )
            assert reply.choices[0].message.content
            assert reply.usage.completion_tokens > 0
            vector = api.embeddings.create(model="default", input="beagle").data[0].embedding
            assert len(vector) == 384
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ready_line(process):
    return json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")


def model_server_of(process):
    """The process that its workers ask for words."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [pid for thread in threads for pid in thread.read_text().split()]
    command = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return next(pid for pid, line in command.items() if "model-server" in line)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="children are looked up in /proc")
def test_workers_ask_one_model_which_is_started_again_when_it_dies(tmp_path):
    model = tiny_gguf.write_folder(tmp_path / "tiny")
    where = ["--port", "0", "--db", str(tmp_path / "people.db"), "--model", str(model), "--embedder", "none"]
    command = [sys.executable, "-m", "mnemon", "serve", "--workers", "2", "--json", *where]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=os.environ, **pipes) as process:
        try:
            ready = ready_line(process)
            assert ready["workers"] == 2

            def asked():
                body = {"messages": [{"role": "user", "content": "Hello!"}], "user": "ana", "max_tokens": 4}
                return httpx.post(f"{ready['url']}/v1/chat/completions", json=body, timeout=60)

            first = asked()
            assert first.status_code == 200, first.text
            assert first.json()["usage"]["completion_tokens"] > 0
            died = model_server_of(process)
            os.kill(died, signal.SIGKILL)
            end = time.monotonic() + 60
            while asked().status_code != 200:
                assert time.monotonic() < end
            assert model_server_of(process) != died
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
            assert "The model server was killed by SIGKILL." in said
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def test_memory_that_is_nowhere_is_not_shared(capsys):
    assert main(["serve", "--workers", "2", "--db", ":memory:"]) == 2
    assert "Name a database that they share" in capsys.readouterr().err


def test_an_address_that_is_taken_is_a_clear_error(tmp_path):
    import socket

    from mnemon.agent.server import Door, TokenFile, create_app, serve
    from mnemon.errors import UsageError
    from mnemon.memory import Memory
    from mnemon.testing import ScriptedChatModel

    with socket.create_server(("127.0.0.1", 0)) as taken, Memory.open(":memory:", embedder=None) as memory:
        door = Door(tokens=TokenFile(tmp_path / "tokens.json"))
        app = create_app(memory, ScriptedChatModel([]), door=door)
        with pytest.raises(UsageError, match="cannot be listened on"):
            serve(app, host="127.0.0.1", port=taken.getsockname()[1])


def test_the_help_says_who_may_ask(capsys):
    assert main(["serve", "--help"]) == 0
    assert "token" in capsys.readouterr().out
