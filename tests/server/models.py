"""Chat models that can be held, and that fail, at a given word."""

import threading
from collections.abc import Generator

from mnemon.agent import ChatModel, Reply, ReplyStream, Usage
from mnemon.agent.seams import DEFAULT_OPTIONS


class Held(ChatModel):
    """Counts up; after `free` words it waits for `go`. Knows how many replies it writes at once."""

    name = "held"
    abilities = frozenset()

    def __init__(self, words: int, *, free: int = 0, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.waiting = threading.Semaphore(0)  # released each time a reply has to wait
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._words, self._free, self._error = words, free, error

    def stream(self, messages, options=DEFAULT_OPTIONS):
        return ReplyStream(self._pieces())

    def _pieces(self) -> Generator[str, None, Reply]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            for number in range(self._words):
                if number == self._free:
                    self.waiting.release()
                    assert self.go.wait(20), "the test has forgotten to let it go"
                    if self._error is not None:
                        raise self._error
                yield f" {number}" if number else "0"
        finally:
            with self._lock:
                self.now -= 1
        text = " ".join(map(str, range(self._words)))
        return Reply(text=text, usage=Usage(completion_tokens=self._words))
