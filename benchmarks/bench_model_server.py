"""Steered replies of the default model in this process and over a model server, 1 to 8 at once.

    python benchmarks/bench_model_server.py [--quick]

Every reply has two rows (rules over words, and a contrast). Seconds are those of the whole lot; the ratio is
how much of the speed in process is left over HTTP. Threads share forwards in both.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from mnemon.agent import LocalChatModel, ReplyOptions
from mnemon.agent.decoding import budgeted
from mnemon.agent.decoding.presets import on_topic
from mnemon.agent.decoding.traits import trait
from mnemon.agent.model_server import ServedChatModel

Model = LocalChatModel | ServedChatModel
QUESTIONS = (
    "Why is the sky blue?",
    "What should I cook tonight?",
    "Tell me of Porto.",
    "Is tea better than coffee?",
    "How do I sleep well?",
    "What is a beagle like?",
    "Should I learn the guitar?",
    "Why do cats purr?",
)


@contextmanager
def started() -> Iterator[str]:
    command = [sys.executable, "-m", "mnemon", "model-server", "--port", "0", "--json", "--end-with-stdin"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.communicate()


def seconds(model: Model, at_once: int, tokens: int) -> tuple[float, int]:
    """Of so many replies at once, and the tokens that they came to."""
    ends = model.codec.end_ids
    steering = budgeted([*trait("plain", end_ids=ends), on_topic()], epsilon=0.1)
    options = ReplyOptions(max_tokens=tokens)

    def reply(question: str) -> int:
        said = [{"role": "user", "content": question}]
        return model.steer(said, steering, options=options).reply.usage.completion_tokens

    reply("Hello?")  # what is read once is not counted: the instructions, the tokenizer
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        written = sum(pool.map(reply, QUESTIONS[:at_once]))
    return time.perf_counter() - began, written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter replies, fewer at once")
    arguments = parser.parse_args()
    tokens, lots = (16, (1, 4)) if arguments.quick else (48, (1, 4, 8))
    here: dict[int, float] = {}
    local = LocalChatModel.open().together()
    for at_once in lots:
        took, written = seconds(local, at_once, tokens)
        here[at_once] = written / took
    del local
    print("| at once | tokens/s in process | over the model server | ratio |\n|---|---|---|---|")
    with started() as url:
        served = ServedChatModel(url)
        for at_once in lots:
            took, written = seconds(served, at_once, tokens)
            there = written / took
            print(f"| {at_once} | {here[at_once]:.1f} | {there:.1f} | {there / here[at_once]:.2f} |")


if __name__ == "__main__":
    main()
