"""The model in a process of its own, `mnemon model-server`, for workers of this machine: started before them,
looked after while they serve, ended after them.

Its address and its key stay the same when it is started again, so that whoever asks it need not know.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from mnemon.agent.model_server.keys import VARIABLE
from mnemon.agent.server.workers import Mortality, how_it_ended
from mnemon.errors import ModelError

COMMAND = (sys.executable, "-m", "mnemon", "model-server")
END_SECONDS = 10.0  # it has nobody left to speak to; then it is killed


class ModelProcess:
    """Inside a `with`: `url` and `key` are what `ServedChatModel` wants. `options` are the command's."""

    def __init__(
        self, options: Sequence[str], *, tell: Callable[[str], object], command: Sequence[str] = COMMAND
    ) -> None:
        self._command, self._tell = [*command, *options], tell
        self.key = secrets.token_hex(32)
        self._environment = os.environ | {VARIABLE: self.key}  # as it is now: workers are given more
        self.url = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._watch = threading.Thread(target=self._look_after, name="mnemon-model-process", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._process = self._started()
            self.url = self._address(self._process)
            if not self.url:
                ended = how_it_ended(self._process.wait())
                raise ModelError(f"The model server {ended} before it could answer.")
        except BaseException:
            self._end()
            raise
        self._port = urlsplit(self.url).port or 0
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._end()
        self._watch.join()

    def _started(self) -> "subprocess.Popen[str]":
        fixed = ["--port", str(self._port), "--json", "--end-with-stdin"]
        return subprocess.Popen(
            [*self._command, *fixed],
            stdin=subprocess.PIPE,  # ends with this process, however that ends
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            start_new_session=True,  # a terminal's Ctrl-C is for the workers; it ends after them
        )

    @staticmethod
    def _address(process: "subprocess.Popen[str]") -> str:
        """Where it answers, once it does; "" of one that ended before."""
        assert process.stdout is not None
        line = process.stdout.readline()
        return str(json.loads(line)["url"]) if line else ""

    def _look_after(self) -> None:
        mortality = Mortality()
        while True:
            assert self._process is not None
            mortality.born()
            self._address(self._process)
            code = self._process.wait()
            if self._ending.is_set():
                return
            wait = mortality.died()
            when = f"in {wait:g} s" if wait else "now"
            self._tell(f"The model server {how_it_ended(code)}. Another is started {when}.")
            if self._ending.wait(wait):
                return
            self._let_go(self._process)
            self._process = self._started()

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._let_go(process)

    @staticmethod
    def _let_go(process: "subprocess.Popen[str]") -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
