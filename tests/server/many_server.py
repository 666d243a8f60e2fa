"""Several workers for a test to kill: python -m tests.server.many_server DATABASE WORKERS HOME.

Prints its address when all answer; each worker leaves the number of its process in HOME."""

import json
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mnemon.agent.server import Door, Limits, TokenFile, create_app, serve_many
from mnemon.memory import Memory
from mnemon.profiles import PatternProfiler
from mnemon.testing import HashEmbedder
from tests.server.slow_server import Slow


@contextmanager
def app(db, home, number):
    Path(home, f"worker-{number}").write_text(str(os.getpid()))
    embed = "later" if db.startswith("postgresql://") else "at once"
    with Memory.open(db, embedder=HashEmbedder(), profiler=PatternProfiler(), embed=embed) as memory:
        door = Door(tokens=TokenFile.beside(db, home=Path(home)))
        yield create_app(memory, Slow(said), door=door, limits=LIMITS, worker=number)


LIMITS = Limits(grace_seconds=5.0, quiet_seconds=0.2)


def said(messages, _):
    """A reply to "slowly" takes minutes; one to "Recount" says what the person said before."""
    texts = [one["content"] for one in messages if one["role"] == "user"]
    if "slowly" in texts[-1]:
        return "word " * 2_000
    return " | ".join(texts[:-1]) if "Recount" in texts[-1] else "Yes, indeed."


if __name__ == "__main__":
    db, workers, home = sys.argv[1:]
    ended = serve_many(
        partial(app, db, home),
        workers=int(workers),
        host="127.0.0.1",
        port=0,
        limits=LIMITS,
        ready=lambda url: print(json.dumps({"url": url}), flush=True),  # noqa: T201
    )
    sys.exit(0 if ended else 1)
