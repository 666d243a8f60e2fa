"""A server for a test to kill: python slow_server.py DATABASE. Prints its address; a reply takes minutes."""

import sys
import time
from pathlib import Path

from mnemon.agent.server import Door, TokenFile, create_app, serve
from mnemon.memory import Memory
from mnemon.testing import ScriptedChatModel


class Slow(ScriptedChatModel):
    def stream(self, messages, options):
        stream = super().stream(messages, options)
        slow = "slowly" in messages[-1]["content"]
        return type(stream)(self._paced(stream) if slow else stream._pieces)

    def _paced(self, stream):
        for piece in stream:
            yield piece
            time.sleep(0.05)
        return stream.reply


if __name__ == "__main__":
    db = Path(sys.argv[1])
    with Memory.open(db, embedder=None) as memory:
        app = create_app(
            memory,
            Slow(lambda _messages, _options: "word " * 2_000),
            door=Door(tokens=TokenFile.beside(str(db), home=db.parent)),
        )
        serve(app, host="127.0.0.1", port=0, ready=lambda url: print(url, flush=True))  # noqa: T201
    print("closed", flush=True)  # noqa: T201
