"""PANDA's Table 2 laid out again, at the scale of the model here: numbers do not compare with the paper's.

    python benchmarks/panda_table.py PAIRS.jsonl [--prompts 100] [--tokens 64] [--keep FOLDER]
    python benchmarks/panda_table.py PROMPTS.json --person personal [--pairs 24] ...

PAIRS.jsonl is what `mnemon reward train` reads, such as HH-RLHF's own file. Prompts are cut to their last
turns, 512 characters (the paper: 128 tokens). Some are answered; of the rest one half trains the head that
steers, on the model's hidden states, the other half the judge, on all-MiniLM's vectors of reply and prompt:
another half, other features, another network. Each is tested on the other's half. "Reward" is the judge's,
"own" the steering head's, both as the mean difference to the unsteered replies in their standard deviations,
± its standard error over prompts. Coherence is by all-MiniLM too; the paper's encoder is another.

With --person the pairs are choices of a made-up person with one trait between replies to AMULET's prompts at
even places, and prompts at odd places are answered. "Reward" is then what the person counts, in its own unit.

All methods are given the same head.
With --keep, hidden states and replies are kept in a folder, and a run that was cut short goes on there.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from many_replies import mean, write_all
from measures import MEASURES, measured
from steering_curves import prompts_of
from steering_methods import MEASURE_OF
from text_or_reward import preferred

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
    turns_of,
)
from mnemon.evals.metrics import generation
from mnemon.retrievers import SentenceEmbedder

Rewards = Callable[[Sequence[str], Sequence[str]], Floats]

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


def steering_head(model: LocalChatModel, pairs: Sequence[Pair], file: Path | None) -> RewardHead:
    hidden = read_once(model, pairs, file)
    return fit_head(hidden, split_by_prompt(pairs, held_out=0.2, seed=0), model=model.name)


def written(
    model: LocalChatModel, prompts: Sequence[str], steering: Steering | None, tokens: int, file: Path | None
) -> tuple[list[str], float]:
    """Replies and their divergence per token, from the file if it has them."""
    if file is None or not file.exists():
        asked = [turns_of(prompt) for prompt in prompts]
        replies = write_all(model, asked, steering, max_tokens=tokens)
        texts = [reply.text.strip() or "." for reply in replies]
        kl = mean([kl for reply in replies for kl in reply.kl])
        if file is None:
            return texts, kl
        file.write_text(json.dumps({"texts": texts, "kl": kl}, ensure_ascii=False), encoding="utf-8")
    kept = json.loads(file.read_text(encoding="utf-8"))
    return kept["texts"], kept["kl"]


def of_people(
    model: LocalChatModel, embedder: SentenceEmbedder, given: argparse.Namespace
) -> tuple[list[str], RewardHead, dict[str, Rewards]]:
    """From a file of pairs: prompts, the head that steers, the judge's rewards."""
    pairs = [shortened(pair) for pair in read_pairs(given.data, on_bad=lambda error: print(error.message))]
    prompts, steers, judges = divided(pairs, given.prompts)
    head = steering_head(model, steers, given.keep and given.keep / "steers.npz")
    unseen = read_once(model, judges, given.keep and given.keep / "judges.npz")
    right = share_right(ordered_rightly(head.weight, unseen.chosen[:, -1], unseen.rejected[:, -1]))
    judge = Judge(embedder, judges)
    for name, own, (share, error) in (("steers", steers, right), ("judges", judges, judge.tested(steers))):
        print(f"{name}: {len(own)} pairs; of the other half ordered rightly {share:.3f} ± {error:.3f}")
    return prompts, head, {"reward": in_spreads(judge.rewards), "own": in_spreads(own_reward(model, head))}


def of_a_person(
    model: LocalChatModel, given: argparse.Namespace
) -> tuple[list[str], RewardHead, dict[str, Rewards]]:
    """From AMULET's prompts and a trait's name: the person's own count is the judge."""
    prompts = prompts_of(given.data, "report", given.prompts)
    pairs = preferred(model, given.person, prompts_of(given.data, "tune", given.pairs), given.tokens)
    head = steering_head(model, pairs, given.keep and given.keep / "steers.npz")
    measure = MEASURE_OF[given.person][0]

    def counted(_: Sequence[str], replies: Sequence[str]) -> Floats:
        return np.array([MEASURES[measure] * measured(reply)[measure] for reply in replies])

    card = head.card
    print(f"{given.person}: {card.pairs} pairs; held-out {card.accuracy:.3f} ± {card.accuracy_stderr:.3f}")
    return prompts, head, {"reward": counted, "own": in_spreads(own_reward(model, head))}


def own_reward(model: LocalChatModel, head: RewardHead) -> Rewards:
    def rewards(prompts: Sequence[str], replies: Sequence[str]) -> Floats:
        states = [hidden_at_cuts(model, p, reply)[-1] for p, reply in zip(prompts, replies, strict=True)]
        found: Floats = np.stack(states) @ head.weight
        return found

    return rewards


def in_spreads(rewards: Rewards) -> Rewards:
    """In standard deviations of the first replies that are shown, which are the unsteered ones."""
    first: list[float] = []

    def scaled(prompts: Sequence[str], replies: Sequence[str]) -> Floats:
        found = rewards(prompts, replies)
        if not first:
            first.append(float(found.std()))
        return found / first[0]

    return scaled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="pairs, or AMULET's prompts with --person")
    parser.add_argument("--person", choices=sorted(MEASURE_OF), help="a made-up person's trait")
    parser.add_argument("--pairs", type=int, default=24, help="choices of that person")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--keep", type=Path, help="a folder for hidden states and replies")
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    model, embedder = LocalChatModel.open(given.model), SentenceEmbedder()
    prompts, head, judges = of_a_person(model, given) if given.person else of_people(model, embedder, given)
    print("method | rep-2 | rep-3 | rep-4 | diversity | coherence | reward | own | KL", flush=True)
    base: dict[str, Floats] = {}
    for place, (name, steering) in enumerate(methods(head).items()):
        file = given.keep and given.keep / f"replies-{place}.json"
        texts, kl = written(model, prompts, steering, given.tokens, file)
        shown = [f"{generation.repetition(texts, n):.2f}" for n in (2, 3, 4)]
        shown.append(f"{generation.diversity(texts):.2f}")
        shown.append(f"{generation.coherence(prompts, texts, embedder):.3f}")
        for who, rewards in judges.items():
            values = rewards(prompts, texts)
            gained = values - base.setdefault(who, values)
            shown.append(f"{gained.mean():+.2f} ± {gained.std(ddof=1) / np.sqrt(len(gained)):.2f}")
        print(" | ".join([name, *shown, f"{kl:.3f}"]), flush=True)


if __name__ == "__main__":
    main()
