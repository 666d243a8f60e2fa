"""Steering curves: what a trait's own measure gains as the divergence grows, ours beside published methods.

    python benchmarks/steering_curves.py --data PROMPTS.json --out curves.jsonl [--traits brief,asks]
    python benchmarks/steering_curves.py --read curves.jsonl [--picture curves.png]

PROMPTS.json is AMULET's personal_prompts.json. Its prompts at even places were for choosing, those at odd
places are for reporting (`--split`). One line of JSON per (trait, method, strength): every measure's mean,
divergence per token, coherence (cosine of all-MiniLM between prompt and reply), rep-3 and diversity as ARGS
counts them. Rows that the file already has are not run again, so a run that was cut short can go on.

Methods that differ by a formula's constant are one curve here: l + γ·(l_persona − l) is CFG, CoS (λ = γ − 1),
Linear Alignment, MOD and GenARM over prompts (γ < 1), CoSteer with rows of the same model, AMULET at 5.65;
l + α·(l_persona − l_opposite) is proxy tuning, DExperts and Drift. ARGS and PANDA get the rules that we do.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from many_replies import mean, write_all
from measures import MEASURES, measured

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import Branch, Steering, budgeted, presets
from mnemon.agent.decoding.steering import Floats, StepView, Term
from mnemon.agent.decoding.traits import TRAITS, trait
from mnemon.evals.metrics import generation
from mnemon.models import model_path
from mnemon.retrievers import SentenceEmbedder

Row = dict[str, Any]

# trait → (its measure, the opposite of its instruction)
MEASURE_OF = {
    "short sentences": ("words per sentence", "Use very long sentences."),
    "plain": ("reading grade", "Use difficult academic words."),
    "brief": ("words", "Answer at great length."),
    "excited": ("exclamations", "Be calm and matter-of-fact."),
    "careful": ("hedges", "State everything as certain."),
    "asks": ("questions", "Never ask a question."),
    "personal": ("second person", "Never address the reader."),
}
OURS = "mnemon"
BUDGETS = (0.04, 0.1, 0.2)  # the default, and more
MATRIX_BUDGET = 0.1


class _Sum:
    """A trait's rules as the one reward that ARGS and PANDA take, in the rules' own units."""

    branches = ()

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms, self._unit = terms, max(abs(term.weight) for term in terms)

    def score(self, view: StepView) -> Floats:
        parts = [term.reward.score(view) * (term.weight / self._unit) for term in self._terms]  # type: ignore[union-attr]
        total: Floats = np.sum(parts, axis=0)
        return total


def methods(name: str, end_ids: frozenset[int]) -> Iterator[tuple[str, float, Steering]]:
    terms, persona = trait(name, end_ids=end_ids), Branch(name=name, instruction=TRAITS[name].about)
    opposite = Branch(name=f"not {name}", instruction=MEASURE_OF[name][1])
    for epsilon in BUDGETS:
        yield OURS, epsilon, budgeted([*terms, presets.on_topic()], epsilon=epsilon)
    for gamma in (0.5, 1.0, 2.0):
        yield "guidance", gamma, presets.classifier_free_guidance(persona, gamma)
    yield "AMULET", 4.65, presets.amulet(persona)
    for alpha in (0.5, 1.0, 2.0):
        yield "experts", alpha, presets.proxy_tuning(persona, opposite, alpha)
    for weight in (0.5, 1.5):
        yield "PAD", weight, presets.pad(persona, weight=weight)
    yield "CoPe", 0.1, presets.cope(persona, Branch(name="base"))
    for weight in (1.5, 4.0):
        yield "ARGS", weight, presets.args(_Sum(terms), weight=weight)
    for cost in (1.0, 0.25):
        yield "PANDA", cost, presets.panda(_Sum(terms), cost=cost)


class Bench:
    """Prompts, model and embedder; a row for each steering."""

    def __init__(self, model: LocalChatModel, prompts: Sequence[str], tokens: int) -> None:
        self.model, self._prompts, self._tokens = model, list(prompts), tokens
        self._embedder = SentenceEmbedder(str(model_path("all-minilm-l6-v2")))

    def row(self, steering: Steering | None) -> Row:
        asked = [[{"role": "user", "content": prompt}] for prompt in self._prompts]
        replies = write_all(self.model, asked, steering, max_tokens=self._tokens)
        texts = [reply.text.strip() or "." for reply in replies]
        found = [measured(text) for text in texts]
        near = generation.embedding_similarity(texts, self._prompts, self._embedder)
        return {
            **{name: mean([row[name] for row in found]) for name in MEASURES},
            "kl": mean([kl for reply in replies for kl in reply.kl]),
            "coherence": mean(near),
            **{f"rep-{n}": generation.repetition(texts, n) for n in (2, 3, 4)},
            "diversity": generation.diversity(texts),
            "each": {"coherence": near, **{name: [row[name] for row in found] for name in MEASURES}},
            "texts": texts,
        }


def prompts_of(file: Path, split: str, count: int) -> list[str]:
    every = [entry["question"].strip() for entry in json.loads(file.read_text(encoding="utf-8"))]
    return every[0 if split == "tune" else 1 :: 2][:count]


def run(given: argparse.Namespace) -> None:
    model = LocalChatModel.open(given.model)
    bench = Bench(model, prompts_of(given.data, given.split, given.prompts), given.tokens)
    done = {key_of(row) for row in read_rows(given.out)} if given.out.exists() else set()

    def keep(row: Row, steering: Steering | None) -> None:
        if key_of(row) not in done:
            with given.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps({**row, **bench.row(steering)}) + "\n")

    keep({"trait": "", "method": "base", "strength": 0.0}, None)
    for name in given.traits.split(","):
        for method, strength, steering in methods(name, model.codec.end_ids):
            if given.methods is None or method in given.methods.split(","):
                keep({"trait": name, "method": method, "strength": strength}, steering)


def key_of(row: Row) -> tuple[str, str, float]:
    return row["trait"], row["method"], row["strength"]


def read_rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def gained(row: Row, base: Row, name: str) -> float:
    """How far a row moved a trait's measure in the trait's direction."""
    key = MEASURE_OF[name][0]
    return float(MEASURES[key] * (row[key] - base[key]))


def best_within(rows: Sequence[Row], base: Row, name: str, kl: float) -> tuple[float, str]:
    """The most that any published method gains at a divergence of at most `kl`, between its own points too.

    A method's points are joined by straight lines from the base; less than it gained for less divergence,
    it need never gain.
    """
    best, winner = 0.0, "base"
    for method in {row["method"] for row in rows}:
        points = sorted((row["kl"], gained(row, base, name)) for row in rows if row["method"] == method)
        levels, gains = zip((0.0, 0.0), *points, strict=True)
        reached = max([g for k, g in points if k <= kl] + [float(np.interp(kl, levels, gains))])
        if reached > best and (kl <= levels[-1] or reached in gains):
            best, winner = reached, method
    return best, winner


def show(rows: Sequence[Row]) -> None:
    base = next(row for row in rows if row["method"] == "base")
    print(f"base: coherence {base['coherence']:.3f}, rep-3 {base['rep-3']:.1f}, {base['diversity']:.2f}")
    for name, (key, _) in MEASURE_OF.items():
        mine = [row for row in rows if row["trait"] == name and row["method"] == OURS]
        others = [row for row in rows if row["trait"] == name and row["method"] != OURS]
        for row in mine:
            best, winner = best_within(others, base, name, row["kl"])
            apart = np.array(row["each"]["coherence"]) - np.array(base["each"]["coherence"])
            print(
                f"{name:16} {key:18} ε {row['strength']:.2f} KL {row['kl']:.3f}:"
                f" {base[key]:.2f} → {row[key]:.2f}"
                f"  gained {gained(row, base, name):+.2f}, best other {best:+.2f} ({winner})"
                f"  coherence {apart.mean():+.3f} ± {apart.std() / len(apart) ** 0.5:.3f}"
                f"  rep-3 {row['rep-3']:.1f} diversity {row['diversity']:.2f}"
            )
    middle = [row for row in rows if row["method"] == OURS and row["strength"] == MATRIX_BUDGET]
    for key, _ in MEASURE_OF.values():
        moved = {row["trait"]: MEASURES[key] * (row[key] - base[key]) for row in middle}
        winner = max(moved, key=lambda other: moved[other]) if moved else "nobody"
        print(f"{key:18} moved furthest by {winner:16}", {other: round(by, 2) for other, by in moved.items()})


def draw(rows: Sequence[Row], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    base = next(row for row in rows if row["method"] == "base")
    names = [name for name in MEASURE_OF if any(row["trait"] == name for row in rows)]
    figure, axes = plt.subplots(2, 4, figsize=(15, 7), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        for method in dict.fromkeys(row["method"] for row in rows if row["trait"] == name):
            points = sorted(
                (row["kl"], gained(row, base, name))
                for row in rows
                if row["trait"] == name and row["method"] == method and row["kl"] <= 2 * max(BUDGETS)
            )
            style = {"linewidth": 2.5, "color": "black"} if method == OURS else {"alpha": 0.7}
            if points:
                axis.plot(*zip((0.0, 0.0), *points, strict=True), marker="o", label=method, **style)
        axis.set_title(f"{name}: {MEASURE_OF[name][0]}")
        axis.set_xlabel("KL per token, nats")
        axis.legend(fontsize=7)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="AMULET's personal_prompts.json")
    parser.add_argument("--out", type=Path, help="rows are appended here")
    parser.add_argument("--read", type=Path, help="show the rows of a file instead of running")
    parser.add_argument("--picture", type=Path, help="with --read: draw the curves into this file")
    parser.add_argument("--split", choices=("tune", "report"), default="report")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=72)
    parser.add_argument("--traits", default=",".join(MEASURE_OF))
    parser.add_argument("--methods", help="only these, with commas")
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    if given.read is None and (given.data is None or given.out is None):
        sys.exit("Give --data and --out to run, or --read to look at what was run.")
    if given.read is None:
        run(given)
    rows = read_rows(given.read or given.out)
    show(rows)
    if given.picture is not None:
        draw(rows, given.picture)


if __name__ == "__main__":
    main()
