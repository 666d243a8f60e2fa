"""What taking in an export costs: seconds for 10,000 messages and memory, beside reading the JSON whole.

    python benchmarks/bench_import.py [--quick] [--megabytes 200] [--texts 500]

The export is made up (seeded) in ChatGPT's form. Each measurement runs in a process of its own, so that its
peak of memory is its own; `json.load` of the same file is the peer. Embedding, which the first recall does,
is measured on a part, beside the embedder alone.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from common import EVERYDAY

from mnemon.errors import ModelError
from mnemon.memory import Memory
from mnemon.memory.importers import READERS, Options, import_from
from mnemon.retrievers import SentenceEmbedder

TELLING = (
    "I live in {word}.",
    "My cat is called {word}.",
    "I work as a teacher in {word}.",
    "My sister {word} likes tea.",
    "I love {word}.",
)


class Cost(NamedTuple):
    seconds: float
    processor: float
    megabytes: float  # the process's peak
    count: int  # of messages


def make_export(path: Path, megabytes: float) -> int:
    """An export of about this size; gives its number of messages."""
    dice = random.Random(0)
    letters = "abcdefghijklmnoprstuvw"
    rare = ["".join(dice.choices(letters, k=dice.randint(4, 9))) for _ in range(20_000)]
    written = messages = number = 0
    with path.open("w", encoding="utf-8") as file:
        written += file.write("[")
        while written < megabytes * 1e6:
            conversation, count = _conversation(dice, number, rare)
            written += file.write(("," if number else "") + json.dumps(conversation))
            messages, number = messages + count, number + 1
        file.write("]")
    return messages


def _conversation(dice: random.Random, number: int, rare: list[str]) -> tuple[dict[str, object], int]:
    everyday = EVERYDAY.split()
    length = dice.choice((2, 6, 10, 20, 40))
    at = 1.6e9 + 40_000 * number
    mapping: dict[str, object] = {"root": {"id": "root", "message": None, "parent": None, "children": ["m0"]}}
    for place in range(length):
        words = dice.choices(everyday, k=dice.randint(5, 40) * (1 + 7 * (place % 2))) + dice.choices(
            rare, k=4
        )
        text = " ".join(words)
        if place % 2 == 0 and dice.random() < 0.2:
            text = f"{dice.choice(TELLING).format(word=dice.choice(rare).title())} {text}"
        message = {
            "id": f"m{place}",
            "author": {"role": "assistant" if place % 2 else "user", "name": None, "metadata": {}},
            "create_time": at + 30 * place,
            "update_time": None,
            "content": {"content_type": "text", "parts": [text]},
            "status": "finished_successfully",
            "weight": 1.0,
            "metadata": {"model_slug": "gpt-4o", "request_id": f"{number}-{place}", "timestamp_": "absolute"},
            "recipient": "all",
        }
        following = [f"m{place + 1}"] if place + 1 < length else []
        parent = f"m{place - 1}" if place else "root"
        node = {"id": f"m{place}", "message": message, "parent": parent, "children": following}
        mapping[f"m{place}"] = node
    name = f"c{number}"
    head = {"title": f"About {name}", "create_time": at, "id": name, "conversation_id": name}
    return {**head, "mapping": mapping, "current_node": f"m{length - 1}"}, length


def alone(work: Callable[[Path, Path], int], export: Path, database: Path) -> Cost:
    """Run in a new process: its memory and its time."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, export, database))


def _measured(work: Callable[[Path, Path], int], export: Path, database: Path) -> Cost:
    began, processor = time.perf_counter(), time.process_time()
    count = work(export, database)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: KiB
    return Cost(time.perf_counter() - began, time.process_time() - processor, peak, count)


def start(_: Path, __: Path) -> int:
    return 0


def load_whole(export: Path, _: Path) -> int:
    with export.open(encoding="utf-8") as file:
        return sum(len(one["mapping"]) - 1 for one in json.load(file))


def read(export: Path, _: Path) -> int:
    found: Iterator[int] = (len(one.messages) for one in READERS["chatgpt"](export, Options()))
    return sum(found)


def take_in(export: Path, database: Path) -> int:
    with Memory.open(database, embedder=None) as memory:
        return import_from(memory.for_user("ana"), "chatgpt", export).messages


def importing(megabytes: float) -> None:
    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as name:
        export, database = Path(name) / "conversations.json", Path(name) / "people.db"
        messages = make_export(export, megabytes)
        size = export.stat().st_size / 1e6
        print(f"\nAn export of {size:.0f} MB, {messages} messages (each in a process of its own)")
        base = alone(start, export, database)
        print(f"  {'':<34} {'seconds':>8} {'processor for 10,000':>21} {'peak MB':>8} {'above start':>12}")
        for label, work in (
            ("json.load, the file whole", load_whole),
            ("read, one conversation at a time", read),
            ("import: read, learn, write", take_in),
            ("import again: nothing to write", take_in),
        ):
            cost = alone(work, export, database)
            assert cost.count == messages
            each = 10_000 * cost.processor / messages
            above = cost.megabytes - base.megabytes
            print(f"  {label:<34} {cost.seconds:8.1f} {each:19.2f} s {cost.megabytes:8.0f} {above:12.0f}")


def embedding(count: int) -> None:
    """Import and the first recall, which embeds, beside the embedder alone on the same words."""
    try:
        embedder = SentenceEmbedder()
    except ModelError as error:
        print(f"\nEmbedding: skipped: {error.message}")
        return
    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as name:
        export, database = Path(name) / "conversations.json", Path(name) / "people.db"
        make_export(export, count * 1.3e-3)
        with Memory.open(database, embedder=embedder) as memory:
            ana = memory.for_user("ana")
            began = time.perf_counter()
            report = import_from(ana, "chatgpt", export)
            imported = time.perf_counter() - began
            texts = [f"{turn.role}: {turn.text}" for turn in ana.timeline()]
            embedder.embed_texts(texts[:32])  # load
            began = time.perf_counter()
            embedder.embed_texts(texts)
            limit = time.perf_counter() - began
            began = time.perf_counter()
            ana.recall("coffee", k=1)
            embedded = time.perf_counter() - began
    per = 10_000 / report.messages
    print(f"\nWith embedding ({report.messages} messages; seconds for 10,000)")
    print(f"  embedder alone (the limit)         {per * limit:8.1f}")
    print(f"  import                             {per * imported:8.1f}   {imported / limit:5.2f} × the limit")
    print(f"  first recall: embed, index         {per * embedded:8.1f}   {embedded / limit:5.2f} × the limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--texts", type=int, default=500)
    options = parser.parse_args()
    importing(5 if options.quick else options.megabytes)
    embedding(200 if options.quick else options.texts)


if __name__ == "__main__":
    main()
