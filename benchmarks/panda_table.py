"""PANDA's Table 2 laid out again, at the scale of the model here: numbers do not compare with the paper's.

    python benchmarks/panda_table.py PAIRS.jsonl [--prompts 32] [--tokens 64] [--model default]

PAIRS.jsonl has lines {"prompt", "chosen", "rejected"}, such as HH-RLHF's. One half of the prompts trains the
head that steers, the other half the head that judges ("avg. reward" is the judge's, "own" the steering
head's, both in standard deviations of the unsteered replies' rewards). Neither has seen the prompts answered.
Coherence is by all-MiniLM; the paper's encoder is another.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from many_replies import mean, write_all

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import RewardHead, Steering, Term, budgeted, presets
from mnemon.agent.reward_training import Pair, hidden_at_cuts, read_pairs, train_head
from mnemon.evals.metrics import generation
from mnemon.models import model_path
from mnemon.retrievers import SentenceEmbedder


def divided(pairs: Sequence[Pair], prompts: int) -> tuple[list[str], list[Pair], list[Pair]]:
    """Prompts to answer, pairs for the head that steers, pairs for the one that judges."""
    order = [str(p) for p in np.random.default_rng(0).permutation(sorted({pair.prompt for pair in pairs}))]
    answered, rest = order[:prompts], order[prompts:]
    steering, judging = set(rest[::2]), set(rest[1::2])
    return (
        answered,
        [pair for pair in pairs if pair.prompt in steering],
        [pair for pair in pairs if pair.prompt in judging],
    )


def methods(head: RewardHead) -> dict[str, Steering | None]:
    term = Term(name="preference", reward=head)
    return {
        "base": None,
        **{f"ARGS, w = {w}": presets.args(head, weight=w) for w in (0.5, 1.5)},
        **{f"PANDA repaired, cost {c}": presets.panda(head, cost=c) for c in (2.0, 0.5)},
        **{
            f"ours, ε = {e}": budgeted([term, presets.on_topic()], epsilon=e, top=10)
            for e in (0.04, 0.1, 0.3)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--most-pairs", type=int, default=300, help="for each of the two heads")
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    model = LocalChatModel.open(given.model)
    embedder = SentenceEmbedder(str(model_path("all-minilm-l6-v2")))
    prompts, *halves = divided(read_pairs(given.pairs), given.prompts)
    head, judge = (train_head(model, half[: given.most_pairs]) for half in halves)
    for name, one in (("steers", head), ("judges", judge)):
        print(
            f"{name}: {one.card.accuracy:.3f} ± {one.card.accuracy_stderr:.3f} of {one.card.held_out_pairs}"
        )
    print("method | rep-2 | rep-3 | rep-4 | diversity | coherence | avg. reward | own | KL")
    unit: dict[str, tuple[float, float]] = {}
    for name, steering in methods(head).items():
        asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
        replies = write_all(model, asked, steering, max_tokens=given.tokens)
        texts = [reply.text.strip() or "." for reply in replies]
        states = [hidden_at_cuts(model, p, text)[-1] for p, text in zip(prompts, texts, strict=True)]
        rewards = {who: np.stack(states) @ one.weight for who, one in (("judge", judge), ("own", head))}
        for who, values in rewards.items():
            unit.setdefault(who, (float(values.mean()), float(values.std())))
        shown = [f"{generation.repetition(texts, n):.2f}" for n in (2, 3, 4)]
        shown += [
            f"{generation.diversity(texts):.2f}",
            f"{generation.coherence(prompts, texts, embedder):.3f}",
        ]
        shown += [f"{(values.mean() - unit[who][0]) / unit[who][1]:+.2f}" for who, values in rewards.items()]
        shown.append(f"{mean([kl for reply in replies for kl in reply.kl]):.3f}")
        print(" | ".join([name, *shown]), flush=True)


if __name__ == "__main__":
    main()
