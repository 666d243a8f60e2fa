"""How much the server adds: replies a second and how long they take, beside a route that only streams words.

    python benchmarks/bench_server.py [--quick] [--model]

The scripted model costs nothing, so that the server is measured: HTTP, the desk, the LangGraph turn, recall,
and the write to disk that every finished reply has behind it. The limits are a bare FastAPI route on the same
uvicorn that streams the same words and remembers nothing, and the same turns without a server. With `--model`
the default model speaks instead, its steps joined in one batch and, for comparison, taking turns. Clients run
in a process of their own.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
from common import table
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from mnemon.agent import Assistant, ChatModel
from mnemon.agent.server import Door, Limits, TokenFile, create_app, serving
from mnemon.memory import Memory
from mnemon.testing import HashEmbedder, ScriptedChatModel

WORDS = ("a word of the reply " * 10).split()  # fifty pieces
CHAT = "/v1/chat/completions"
QUESTION = "Where does my sister Ines live, in Porto or in Faro?"
TALK = (
    "Tell me a long story about a lighthouse and the sea in winter."  # needs no memory, ends when it is cut
)


# --- the clients, a process of their own

Asking = Callable[[httpx.AsyncClient, str, str, int], Awaitable[tuple[float, int]]]


async def talk(
    url: str, question: str, *, clients: int, seconds: float, most: int, ask: Asking | None = None
) -> dict[str, float]:
    """So many persons, each asking again as soon as they are answered."""
    ask = ask or _ask
    took: list[float] = []
    first: list[float] = []
    pieces = 0
    async with httpx.AsyncClient(
        base_url=url, timeout=120, limits=httpx.Limits(max_connections=clients)
    ) as client:
        names = [f"p{number}" for number in range(clients)]
        warm = await asyncio.gather(*(ask(client, name, question, most) for name in names))
        began = time.perf_counter()
        end = began + seconds

        async def person(name: str) -> None:
            nonlocal pieces
            while time.perf_counter() < end:
                asked = time.perf_counter()
                at_first, count = await ask(client, name, question, most)
                took.append(time.perf_counter() - asked)
                first.append(at_first - asked)
                pieces += count

        await asyncio.gather(*map(person, names))
        whole = time.perf_counter() - began
    found = told(took, first, pieces, whole)
    return found | {"written": pieces + sum(count for _, count in warm)}


def told(took: list[float], first: list[float], pieces: int, whole: float) -> dict[str, float]:
    return {
        "replies": len(took) / whole,
        "pieces": pieces / whole,
        "p50": 1000 * float(np.percentile(took, 50)),
        "p95": 1000 * float(np.percentile(took, 95)),
        "first95": 1000 * float(np.percentile(first, 95)),
    }


async def recall(client: httpx.AsyncClient, user: str, question: str, _: int) -> tuple[float, int]:
    body = {"query": question, "k": 5}
    answer = await client.post("/api/recall", params={"user": user}, json=body)
    answer.raise_for_status()
    return time.perf_counter(), 1


async def _ask(client: httpx.AsyncClient, user: str, question: str, most: int) -> tuple[float, int]:
    messages = [{"role": "user", "content": question}]
    body = {"messages": messages, "stream": True, "user": user, "max_tokens": most}
    first, count = 0.0, 0
    async with client.stream("POST", CHAT, json=body) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {(await answer.aread()).decode()}")
        async for line in answer.aiter_lines():
            if '"content":"' in line and '"content":""' not in line:
                first = first or time.perf_counter()
                count += 1
    return first, count


def measured(
    url: str, *, clients: int, seconds: float, question: str = QUESTION, most: int = 256
) -> dict[str, float]:
    arguments = [url, question, str(clients), str(seconds), str(most)]
    began = time.process_time()
    done = subprocess.run(
        [sys.executable, __file__, "--clients", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    # The clients are another process: all that this one has worked is the server's, whoever else is busy.
    answer["cpu"] = 1000 * (time.process_time() - began) / answer["written"]
    return answer


# --- what they talk to


def echo() -> FastAPI:
    """Nothing but the words, in the same form."""
    app = FastAPI()

    async def words() -> AsyncIterator[bytes]:
        for word in WORDS:
            yield b'data: {"choices":[{"index":0,"delta":{"content":"' + word.encode() + b' "}}]}\n\n'
        yield b"data: [DONE]\n\n"

    @app.post(CHAT)
    async def chat(body: dict[str, object]) -> StreamingResponse:
        assert body["stream"]
        return StreamingResponse(words(), media_type="text/event-stream")

    return app


class _NoDesk:
    """What `serving` asks of an application's desk, for one that has none."""

    running = waiting = 0

    def close_door(self) -> None: ...

    def stop_all(self) -> None: ...


def scripted(folder: Path, *, seconds: float, counts: list[int]) -> list[list[object]]:
    rows: list[list[object]] = []
    bare = echo()
    bare.state.desk = _NoDesk()
    with Memory.open(folder / "people.db", embedder=HashEmbedder()) as memory:
        for number in range(max(counts)):
            person = memory.for_user(f"p{number}")
            person.remember(["My sister Ines lives in Porto.", "I work as a nurse."], session="before")
        model = ScriptedChatModel(lambda _messages, _options: " ".join(WORDS))
        rows.append(row("the turns alone, no server", 1, alone(memory, model, seconds=seconds)))
        for clients in counts:
            app = create_app(memory, model, door=Door(tokens=TokenFile(folder / "tokens.json")))
            print(f"bare route, {clients} clients", file=sys.stderr, flush=True)
            with serving(bare) as url:
                limit = measured(url, clients=clients, seconds=seconds)
            print(f"mnemon, {clients} clients", file=sys.stderr, flush=True)
            with serving(app) as url:
                ours = measured(url, clients=clients, seconds=seconds)
            rows.append(row("bare streaming route", clients, limit))
            rows.append(row("mnemon, scripted model", clients, ours))
            rows.append(["  mnemon / bare", clients, *(ours[key] / limit[key] for key in KEYS)])
    return rows


def alone(memory: Memory, model: ChatModel, *, seconds: float) -> dict[str, float]:
    """What a turn costs by itself, made as the server makes it: an assistant for each."""
    took: list[float] = []
    first: list[float] = []
    list(Assistant(memory.for_user("p0"), model).stream(QUESTION, thread="alone"))  # loads what it needs
    end, worked = time.perf_counter() + seconds, time.process_time()
    while time.perf_counter() < end:
        began = time.perf_counter()
        pieces = Assistant(memory.for_user("p0"), model).stream(QUESTION, thread="alone")
        next(pieces)
        first.append(time.perf_counter() - began)
        list(pieces)
        took.append(time.perf_counter() - began)
    count = len(took) * len(WORDS)
    worked = time.process_time() - worked
    return told(took, first, count, sum(took)) | {"cpu": 1000 * worked / count}


def with_model(folder: Path, *, seconds: float, counts: list[int]) -> list[list[object]]:
    from mnemon.agent import LocalChatModel

    rows: list[list[object]] = []
    plain = LocalChatModel.open("default", engine="transformers")
    with Memory.open(folder / "talk.db", embedder=HashEmbedder()) as memory:
        for number in range(max(counts)):
            memory.for_user(f"p{number}").remember("My sister Ines lives in Porto.", session="before")
        for clients in counts:
            for name, model in (("taking turns", plain), ("in one batch", plain.together())):
                limits = Limits(at_once=clients)
                door = Door(tokens=TokenFile(folder / "tokens.json"))
                with serving(create_app(memory, model, door=door, limits=limits)) as url:
                    found = measured(url, clients=clients, seconds=seconds, question=TALK, most=48)
                rows.append(row(f"{plain.name}, {name}", clients, found))
    return rows


KEYS = ("replies", "pieces", "p50", "p95", "first95", "cpu")
COLUMNS = ["", "clients", "replies/s", "pieces/s", "p50 ms", "p95 ms", "first p95 ms", "cpu ms/piece"]


def row(name: str, clients: int, found: dict[str, float]) -> list[object]:
    return [name, clients, *(found[key] for key in KEYS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    parser.add_argument("--model", action="store_true", help="the default model instead of a scripted one")
    # What a process of clients is started with: address, question, how many, seconds, tokens.
    parser.add_argument("--clients", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--recalls", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clients or options.recalls:
        url, question, count, seconds, most = options.clients or options.recalls
        ask = _ask if options.clients else recall
        asked = talk(url, question, clients=int(count), seconds=float(seconds), most=int(most), ask=ask)
        found = asyncio.run(asked)
        print(json.dumps(found))
        return
    seconds = 1.0 if options.quick else 4.0
    counts = [1, 8] if options.quick else [1, 8, 64]
    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as folder:
        if options.model:
            counts = [1, 4] if options.quick else [1, 4, 8]
            rows = with_model(Path(folder), seconds=2 * seconds, counts=counts)
            table("Replies of up to 48 tokens, default model", COLUMNS, rows)
        else:
            table("Replies of 50 pieces", COLUMNS, scripted(Path(folder), seconds=seconds, counts=counts))


if __name__ == "__main__":
    main()
