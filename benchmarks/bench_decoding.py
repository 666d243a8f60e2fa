"""Tokens per second, guided and not, in one run: default model, 256 tokens of prompt, 128 new.

    python benchmarks/bench_decoding.py [--quick] [--busy] [--model NAME] [--json]
    python benchmarks/bench_decoding.py --device cuda --random-weights 8b

Speed is one over the median step, over several rounds taken in turn: a busy moment hits all alike. Peers in
the same run: transformers' `generate`, `generate` with its own guidance, and the forms in which CoS, AMULET,
PAD, Drift, ARGS and PANDA were released or printed.
Where llama.cpp is installed its engine is measured too, beside llama-cpp-python's own loop, and both engines'
steps per second by the number of rows.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from decoding_gpu import SHAPES, show_random
from released_forms import ReleasedForms

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import presets
from mnemon.agent.decoding.engine import Decoding, Plan
from mnemon.agent.decoding.llamacpp import tokens_at_once
from mnemon.agent.decoding.rewards import Contrast
from mnemon.agent.decoding.rows import RowModel, RowPrompt
from mnemon.agent.decoding.steering import BASE, Branch, Floats, Steering, StepView, Term
from mnemon.models import model_path

clock = time.perf_counter

# (guided ÷ unguided) that this project promises itself on two cores
TARGETS = {"two branches": 0.88, "six attributes": 0.60, "ten candidates": 0.55}
GPU_TARGETS = {"two branches": 0.85, "six attributes": 0.75, "ten candidates": 0.85}
OWN_LOOP = 0.9  # unguided on llama.cpp ÷ llama-cpp-python's own loop
TWO_ROWS = 70.0  # tokens/s, steered with two rows on llama.cpp


class RandomHead:
    """A reward head's cost without its training."""

    def __init__(self, size: int) -> None:
        self.hidden_size = size
        self._weight = np.random.default_rng(0).normal(size=size) / size

    def score_hidden(self, view: StepView, hidden: Floats) -> Floats:  # noqa: ARG002
        scores: Floats = hidden @ self._weight
        return scores


def prompt_of(seed: int, length: int, vocabulary: int) -> tuple[int, ...]:
    dice = np.random.default_rng(seed)
    return tuple(int(token) for token in dice.integers(100, vocabulary - 100, size=length))


def steerings(length: int, vocabulary: int, hidden: int) -> dict[str, Steering | None]:
    attributes = [Branch(name=f"a{i}", ids=prompt_of(i, length + 8 * i, vocabulary)) for i in range(1, 7)]
    terms = [Term(name=branch.name, reward=Contrast(branch)) for branch in attributes]
    return {
        "unguided": None,
        "two branches": presets.budgeted(terms[:1]),
        "six attributes": presets.budgeted(terms),
        "ten candidates": presets.args(RandomHead(hidden)),
    }


def guided(model: RowModel, steering: Steering | None, ids: tuple[int, ...], new: int) -> list[float]:
    """Seconds of each step after the prompt was read."""
    branches = steering.used_branches() if steering else {BASE: Branch(name=BASE)}
    plan = Plan(
        prompts={name: (BASE, RowPrompt(branch.ids or ids)) for name, branch in branches.items()},
        steering=steering,
        max_tokens=new,
        end_ids=frozenset(),
    )
    times = [clock() for _ in Decoding({BASE: model}, plan, prose)]
    return np.diff(times).tolist()


def prose(_: Sequence[int]) -> str:
    """What a token reads as. Random ones would now and then look like code, and there nothing is steered."""
    return " word"


def replies(model: RowModel, new: int) -> dict[str, Callable[[], list[float]]]:
    """A reply without steering, and one of each kind of steering."""
    ids = prompt_of(0, 256, model.vocabulary)
    return {
        case: (lambda steering=steering: guided(model, steering, ids, new))
        for case, steering in steerings(256, model.vocabulary, model.hidden_size).items()
    }


def peers(folder: str, new: int) -> dict[str, Callable[[], list[float]]]:
    from mnemon.agent.decoding.hf import TransformersTrunk

    trunk = TransformersTrunk.open(model_path(folder), dtype=torch.bfloat16, device=torch.device("cpu"))
    prompts = [torch.tensor([prompt_of(seed, 256, trunk.shape.vocabulary)]) for seed in range(7)]
    return ReleasedForms(trunk.model, prompts, new=new, clock=clock).cases()


def own_loop(file: Path, ids: tuple[int, ...], new: int) -> Callable[[], list[float]]:
    """llama-cpp-python as it is used: its class, its sampler, greedy."""
    from llama_cpp import Llama

    threads = torch.get_num_threads()
    llama = Llama(
        str(file),
        n_ctx=len(ids) + new + 8,
        n_threads=threads,
        n_threads_batch=threads,
        n_ubatch=tokens_at_once(),  # its own choice ends the process on some machines
        verbose=False,
    )

    def generate() -> list[float]:
        times = []
        for _ in llama.generate(ids, temp=0.0, reset=True):
            times.append(clock())
            if len(times) == new:
                return np.diff(times).tolist()
        return np.diff(times).tolist()

    return generate


def on_llama_cpp(name: str, new: int, rounds: int) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """Tokens/s of replies, and of both engines steps/s by rows."""
    model = LocalChatModel.open(name, device="cpu", engine="llama.cpp")
    ids = prompt_of(0, 256, model.rows.vocabulary)
    cases = {f"llama.cpp, {case}": reply for case, reply in replies(model.rows, new).items()}
    cases["llama-cpp-python's loop"] = own_loop(model_path(name) / "model.gguf", ids, new)
    speeds = measured(cases, rounds)
    engines: dict[str, RowModel] = {
        "llama.cpp": model.rows,
        "transformers": LocalChatModel.open(name, device="cpu").rows,
    }
    for engine, rows in engines.items():
        speeds[f"reading a prompt, {engine}"] = prompt_tokens_per_second(rows)
    by_rows = {
        engine: {count: steps_per_second(rows, count, new) for count in (1, 2, 5, 7)}
        for engine, rows in engines.items()
    }
    return speeds, by_rows


def measured(cases: dict[str, Callable[[], list[float]]], rounds: int) -> dict[str, float]:
    """Tokens/s of each case: one over its median step."""
    steps: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            steps[name] += case()
    return {name: 1 / float(np.median(times)) for name, times in steps.items()}


def prompt_tokens_per_second(model: RowModel) -> float:
    model.prefill([RowPrompt(prompt_of(97, 16, model.vocabulary))], room=1)  # wakes threads and pages
    prompt = RowPrompt(prompt_of(98, 256, model.vocabulary))
    start = clock()
    model.prefill([prompt], room=1)
    return 256 / (clock() - start)


def steps_per_second(model: RowModel, count: int, new: int) -> float:
    prompts = [RowPrompt(prompt_of(seed, 256, model.vocabulary)) for seed in range(1, count + 1)]
    rows = model.prefill(prompts, room=new)
    times = [clock()]
    for token in prompt_of(99, new, model.vocabulary):
        rows.step(token)
        times.append(clock())
    return 1 / float(np.median(np.diff(times)))


def show_llama_cpp(speeds: dict[str, float], by_rows: dict[str, dict[int, float]]) -> None:
    base = speeds["llama.cpp, unguided"]
    for name, speed in speeds.items():
        wanted = f"  (promised ≥ {TWO_ROWS:.0f})" if name.endswith("two branches") else ""
        beside = "" if name.startswith("reading") else f"   {speed / base:5.2f} × unguided{wanted}"
        print(f"{name:32}{speed:8.1f} tokens/s{beside}")
    ratio = base / speeds["llama-cpp-python's loop"]
    print(f"unguided ÷ llama-cpp-python's own loop: {ratio:.2f}  (promised ≥ {OWN_LOOP:.2f})")
    print("steps/s by rows         " + "".join(f"{count:8}" for count in next(iter(by_rows.values()))))
    for engine, found in by_rows.items():
        print(f"{engine:24}" + "".join(f"{speed:8.1f}" for speed in found.values()))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer tokens, one round")
    parser.add_argument("--model", default="default")
    parser.add_argument(
        "--no-peers", action="store_true", help="skip transformers (its import alone takes seconds)"
    )
    parser.add_argument(
        "--busy", action="store_true", help="one thread, processor time: for a machine that does other things"
    )
    parser.add_argument("--only-llama-cpp", action="store_true", help="skip what runs on torch alone")
    parser.add_argument("--device", default="cpu", help="of --random-weights: cpu or cuda")
    parser.add_argument(
        "--random-weights", choices=sorted(SHAPES), help="a shape instead of a model: speed needs no file"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.busy:
        global clock
        clock = time.process_time
        torch.set_num_threads(1)
    new, rounds = (24, 1) if options.quick else (128, 3)
    if options.random_weights:
        found = show_random(
            options.random_weights,
            torch.device(options.device),
            new=new,
            measure=lambda rows: measured(replies(rows, new), rounds),
            targets=GPU_TARGETS,
        )
        if options.json:
            print(json.dumps(found))
        return
    print(f"{options.model}, {torch.get_num_threads()} threads, 256 tokens of prompt, {new} new", flush=True)
    results: dict[str, object] = {"threads": torch.get_num_threads()}
    if not options.only_llama_cpp:
        speeds = on_torch(options.model, new, rounds, peered=not options.no_peers)
        results["tokens_per_second"] = speeds
        show_torch(speeds)
    if find_spec("llama_cpp") is not None:
        speeds, by_rows = on_llama_cpp(options.model, new, rounds)
        results |= {"llama_cpp": speeds, "steps_per_second": by_rows}
        show_llama_cpp(speeds, by_rows)
    if options.json:
        print(json.dumps(results))


def on_torch(name: str, new: int, rounds: int, *, peered: bool) -> dict[str, float]:
    model = LocalChatModel.open(name, device="cpu")
    cases = replies(model.rows, new)
    if peered:
        cases |= peers(name, new)
    return measured(cases, rounds)


def show_torch(speeds: dict[str, float]) -> None:
    base = speeds["unguided"]
    for name, speed in speeds.items():
        target = f"  (promised ≥ {TARGETS[name]:.2f})" if name in TARGETS else ""
        print(f"{name:28}{speed:8.1f} tokens/s   {speed / base:5.2f} × unguided{target}")
    if "transformers generate" in speeds:
        print(f"unguided ÷ generate: {base / speeds['transformers generate']:.2f}  (promised ≥ 1.20)")


if __name__ == "__main__":
    main()
