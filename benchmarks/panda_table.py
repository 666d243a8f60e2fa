"""PANDA's Table 2 laid out again, at the scale of the model here: numbers do not compare with the paper's.

    python benchmarks/panda_table.py PAIRS.jsonl [--prompts 40] [--tokens 64] [--keep FOLDER]

PAIRS.jsonl is what `mnemon reward train` reads, such as HH-RLHF's own file. Prompts are cut to their last
turns, 512 characters (the paper: 128 tokens). Some are answered; of the rest one half trains the head that
steers, on the model's hidden states, the other half the judge, on all-MiniLM's vectors of reply and prompt:
another half, other features, another network. Each is tested on the other's half. "Reward" is the judge's,
"own" the steering head's, both as the mean difference to the unsteered replies in their standard deviations,
± its standard error over prompts. Coherence is by all-MiniLM too; the paper's encoder is another.

With --keep, hidden states and replies are kept in a folder, and a run that was cut short goes on there.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from many_replies import mean, write_all

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import RewardHead, Steering, Term, budgeted, presets
from mnemon.agent.decoding.heads import fit_bradley_terry, ordered_rightly, share_right
from mnemon.agent.decoding.steering import Floats
from mnemon.agent.reward_training import (
    HiddenPairs,
    Pair,
    fit_head,
    hidden_at_cuts,
    hidden_pairs,
    read_pairs,
    split_by_prompt,
)
from mnemon.evals.metrics import generation
from mnemon.retrievers import SentenceEmbedder

LAMBDAS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
JUDGE_RIDGE = 1000.0  # chosen by cross-validation within the judge's own half


class Judge:
    """A linear reward on a sentence encoder's vectors, by Bradley and Terry's rule."""

    def __init__(self, embedder: SentenceEmbedder, pairs: Sequence[Pair]) -> None:
        self._embedder = embedder
        self._weight = fit_bradley_terry(*self._both(pairs), ridge=JUDGE_RIDGE)

    def _features(self, prompts: Sequence[str], replies: Sequence[str]) -> Floats:
        said = self._embedder.embed_texts(replies).astype(np.float64)
        asked = self._embedder.embed_texts([_last_turn(prompt) for prompt in prompts]).astype(np.float64)
        return np.hstack([said, asked * said])

    def _both(self, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        prompts = [pair.prompt for pair in pairs]
        return (
            self._features(prompts, [pair.chosen for pair in pairs]),
            self._features(prompts, [pair.rejected for pair in pairs]),
        )

    def rewards(self, prompts: Sequence[str], replies: Sequence[str]) -> Floats:
        found: Floats = self._features(prompts, replies) @ self._weight
        return found

    def tested(self, pairs: Sequence[Pair]) -> tuple[float, float]:
        return share_right(ordered_rightly(self._weight, *self._both(pairs)))


def _last_turn(prompt: str) -> str:
    return prompt.rpartition("Human:")[2].strip() or prompt


def shortened(pair: Pair, *, characters: int = 512) -> Pair:
    """The last turns of a dialogue that fit, and of a single longer one its end."""
    kept = ""
    for turn in reversed(pair.prompt.split("\n\nHuman:")):
        longer = "Human: " + turn.removeprefix("Human:").strip() + ("\n\n" + kept if kept else "")
        if kept and len(longer) > characters:
            break
        kept = longer
    return pair._replace(prompt=kept[-characters:])


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
        "PANDA as printed": presets.panda_as_printed(head, LAMBDAS),
        **{f"PANDA repaired, cost {c}": presets.panda(head, LAMBDAS, cost=c) for c in (2.0, 0.5)},
        **{
            f"ours, ε = {e}": budgeted([term, presets.on_topic()], epsilon=e, top=10)
            for e in (0.04, 0.1, 0.3)
        },
    }


def read_once(model: LocalChatModel, pairs: Sequence[Pair], file: Path | None) -> HiddenPairs:
    """Hidden states of the pairs, from the file if it has them."""
    if file is not None and file.exists():
        kept = np.load(file)
        return HiddenPairs(kept["chosen"].astype(np.float64), kept["rejected"].astype(np.float64))
    hidden = hidden_pairs(model, pairs)
    if file is not None:
        np.savez(file, chosen=hidden.chosen.astype(np.float32), rejected=hidden.rejected.astype(np.float32))
    return hidden


def steering_head(
    model: LocalChatModel, own: Sequence[Pair], others: Sequence[Pair], keep: Path | None
) -> tuple[RewardHead, tuple[float, float]]:
    """Fitted on its own pairs; its accuracy on the others'."""
    hidden = read_once(model, own, keep and keep / "steers.npz")
    folds = split_by_prompt(own, held_out=0.2, seed=0)
    head = fit_head(hidden, folds, model=model.name)
    unseen = read_once(model, others, keep and keep / "judges.npz")
    return head, share_right(ordered_rightly(head.weight, unseen.chosen[:, -1], unseen.rejected[:, -1]))


def written(
    model: LocalChatModel, prompts: Sequence[str], steering: Steering | None, tokens: int, file: Path | None
) -> tuple[list[str], float]:
    """Replies and their divergence per token, from the file if it has them."""
    if file is None or not file.exists():
        asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
        replies = write_all(model, asked, steering, max_tokens=tokens)
        texts = [reply.text.strip() or "." for reply in replies]
        kl = mean([kl for reply in replies for kl in reply.kl])
        if file is None:
            return texts, kl
        file.write_text(json.dumps({"texts": texts, "kl": kl}, ensure_ascii=False), encoding="utf-8")
    kept = json.loads(file.read_text(encoding="utf-8"))
    return kept["texts"], kept["kl"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--keep", type=Path, help="a folder for hidden states and replies")
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    model, embedder = LocalChatModel.open(given.model), SentenceEmbedder()
    pairs = [shortened(pair) for pair in read_pairs(given.pairs, on_bad=lambda error: print(error.message))]
    prompts, steers, judges = divided(pairs, given.prompts)
    head, accuracy = steering_head(model, steers, judges, given.keep)
    judge = Judge(embedder, judges)
    for name, own, (right, error) in (("steers", steers, accuracy), ("judges", judges, judge.tested(steers))):
        print(f"{name}: {len(own)} pairs; of the other half ordered rightly {right:.3f} ± {error:.3f}")
    print("method | rep-2 | rep-3 | rep-4 | diversity | coherence | reward | own | KL", flush=True)
    base: dict[str, Floats] = {}
    for place, (name, steering) in enumerate(methods(head).items()):
        file = given.keep and given.keep / f"replies-{place}.json"
        texts, kl = written(model, prompts, steering, given.tokens, file)
        states = [hidden_at_cuts(model, p, text)[-1] for p, text in zip(prompts, texts, strict=True)]
        rewards = {"judge": judge.rewards(prompts, texts), "own": np.stack(states) @ head.weight}
        shown = [f"{generation.repetition(texts, n):.2f}" for n in (2, 3, 4)]
        shown.append(f"{generation.diversity(texts):.2f}")
        shown.append(f"{generation.coherence(prompts, texts, embedder):.3f}")
        for who, values in rewards.items():
            plain = base.setdefault(who, values)
            gained = (values - plain) / plain.std()
            shown.append(f"{gained.mean():+.2f} ± {gained.std(ddof=1) / np.sqrt(len(gained)):.2f}")
        print(" | ".join([name, *shown, f"{kl:.3f}"]), flush=True)


if __name__ == "__main__":
    main()
