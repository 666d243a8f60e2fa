"""The model's own process: started, started again under the same address and key, ended with its parent. A
stand-in that loads nothing speaks for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from mnemon.agent.server.model_process import ModelProcess
from mnemon.errors import ModelError

STAND_IN = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"pid": os.getpid(), "key": os.environ["MNEMON_MODEL_KEY"]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

asked = sys.argv[1:]
server = HTTPServer(("127.0.0.1", int(asked[asked.index("--port") + 1])), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
assert "--end-with-stdin" in asked
sys.stdin.read()
"""
COMMAND = (sys.executable, "-c", STAND_IN)


def state(url):
    end = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, timeout=5).json()
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.05)


def gone(pid):
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not Path(f"/proc/{pid}").exists()


def test_it_is_started_again_where_it_was_and_ends_in_the_end():
    told: list[str] = []
    with ModelProcess(["--model", "x"], tell=told.append, command=COMMAND) as model:
        first = state(model.url)
        assert first["key"] == model.key
        os.kill(first["pid"], signal.SIGKILL)
        assert gone(first["pid"])
        second = state(model.url)
        assert second["pid"] != first["pid"]
        assert second["key"] == model.key
        assert told == ["The model server was killed by SIGKILL. Another is started in 0.5 s."]
    assert gone(second["pid"])
    assert len(told) == 1, "its end was no accident"


def test_it_ends_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, STAND_IN], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    pid = state(parent.stdout.readline().strip())["pid"]
    parent.kill()
    parent.communicate()
    assert gone(pid)


PARENT = """
import sys, time
from mnemon.agent.server.model_process import ModelProcess
with ModelProcess([], tell=print, command=(sys.executable, "-c", sys.argv[1])) as model:
    print(model.url, flush=True)
    time.sleep(600)
"""


def test_one_that_cannot_begin_is_said():
    command = (sys.executable, "-c", "raise SystemExit(3)")
    model = ModelProcess([], tell=print, command=command)
    with pytest.raises(ModelError, match="ended with 3 before it could answer"):
        model.__enter__()
