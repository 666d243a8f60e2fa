"""`mnemon serve` as people start it, with the default model."""

import json
import os
import signal
import subprocess
import sys

import openai
import pytest

from mnemon.cli import main


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
