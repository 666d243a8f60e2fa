"""Steering curves: what a trait's own measure gains as the divergence grows, ours beside published methods.

    python benchmarks/steering_curves.py --data PROMPTS.json --out curves.jsonl [--traits brief,asks]
    python benchmarks/steering_curves.py --read curves.jsonl [--plot curves.png]

PROMPTS.json is AMULET's personal_prompts.json. Its prompts at even places were for choosing, those at odd
places are for reporting (`--split`). One line of JSON per (trait, method, strength): every measure's mean,
divergence per token, coherence (cosine of all-MiniLM between prompt and reply), rep-3 and diversity as ARGS
counts them. Rows that the file already has are not run again, so a run that was cut short can go on.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from many_replies import SteeringFor, mean, write_all
from measures import MEASURES, measured
from steering_methods import MEASURE_OF, OURS, OURS_WITH_TEXTS, methods

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import Steering
from mnemon.evals.metrics import generation
from mnemon.models import model_path
from mnemon.retrievers import SentenceEmbedder

Row = dict[str, Any]
MATRIX_BUDGET = 0.1
SHOWN_KL = 0.25  # nats; the picture's width
LOSS = 0.02  # of coherence, that a reply may have and still be about what was asked


class Bench:
    """Prompts, model and embedder; a row for each steering."""

    def __init__(self, model: LocalChatModel, prompts: Sequence[str], tokens: int) -> None:
        self.model, self.prompts, self._tokens = model, list(prompts), tokens
        self._embedder = SentenceEmbedder(str(model_path("all-minilm-l6-v2")))

    def row(self, steering: Steering | SteeringFor | None) -> Row:
        asked = [[{"role": "user", "content": prompt}] for prompt in self.prompts]
        replies = write_all(self.model, asked, steering, max_tokens=self._tokens)
        texts = [reply.text.strip() or "." for reply in replies]
        each = {
            "coherence": generation.embedding_similarity(texts, self.prompts, self._embedder),
            "kl": [sum(reply.kl) for reply in replies],
            "tokens": [len(reply.kl) for reply in replies],
        }
        return summed(texts, each)


def summed(texts: Sequence[str], each: Mapping[str, Sequence[float]]) -> Row:
    """A row from its replies and what was measured of each while they were written."""
    found = [measured(text) for text in texts]
    return {
        **{name: mean([row[name] for row in found]) for name in MEASURES},
        "kl": sum(each["kl"]) / max(1, sum(each["tokens"])),
        "coherence": mean(each["coherence"]),
        **{f"rep-{n}": generation.repetition(texts, n) for n in (2, 3, 4)},
        "diversity": generation.diversity(texts),
        "each": dict(each),
        "texts": list(texts),
    }


def cut(row: Row, count: int) -> Row:
    """The same row of the first `count` prompts only."""
    each = {name: values[:count] for name, values in row["each"].items()}
    return {**row, **summed(row["texts"][:count], each)}


def prompts_of(file: Path, split: str, count: int) -> list[str]:
    every = [entry["question"].strip() for entry in json.loads(file.read_text(encoding="utf-8"))]
    return every[0 if split == "tune" else 1 :: 2][:count]


def run(given: argparse.Namespace) -> None:
    model = LocalChatModel.open(given.model)
    bench = Bench(model, prompts_of(given.data, given.split, given.prompts), given.tokens)
    done = {key_of(row) for row in read_rows(given.out)} if given.out.exists() else set()

    def keep(row: Row, steering: Steering | SteeringFor | None) -> None:
        if key_of(row) not in done:
            with given.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps({**row, **bench.row(steering)}) + "\n")

    keep({"trait": "", "method": "base", "strength": 0.0}, None)
    for name in given.traits.split(","):
        for method, strength, steering in methods(name, model, bench.prompts):
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


def nearest(row: Row, others: Sequence[Row], base: Row) -> tuple[float, float, str]:
    """What a row gained, and the best other that comes nearest, on the prompts that both were given."""
    found = [(gained(row, base, row["trait"]), 0.0, "base")]
    for count in {len(other["texts"]) for other in others}:
        mine, plain = cut(row, count), cut(base, count)
        rivals = [other for other in others if len(other["texts"]) == count]
        found.append(
            (gained(mine, plain, row["trait"]), *best_within(rivals, plain, row["trait"], mine["kl"]))
        )
    return min(found, key=lambda one: one[0] - one[1])


def apart(row: Row, base: Row) -> tuple[float, float]:
    """How far coherence moved, and the standard error of that over the prompts, in pairs."""
    count = len(row["texts"])
    moved = np.array(row["each"]["coherence"]) - np.array(base["each"]["coherence"][:count])
    return float(moved.mean()), float(moved.std(ddof=1) / len(moved) ** 0.5)


def show(rows: Sequence[Row]) -> None:
    """The tables of evals/LOG.md: ours beside the best other, the matrix at one budget, every other point."""
    base = next(row for row in rows if row["method"] == "base")
    count = len(base["texts"])
    print(
        f"{count} prompts; unsteered coherence {base['coherence']:.3f}, rep-3 {base['rep-3']:.1f},", end=" "
    )
    print(f"diversity {base['diversity']:.2f}\n")
    others = [row for row in rows if row["method"] not in ("base", OURS, OURS_WITH_TEXTS)]
    for method in (OURS, OURS_WITH_TEXTS):
        mine = [row for row in rows if row["method"] == method]
        if mine:
            print(f"{method}\n")
            _show_ours(mine, others, base)
    middle = [row for row in rows if row["method"] == OURS and row["strength"] == MATRIX_BUDGET]
    _show_matrix(sorted(middle, key=lambda row: list(MEASURE_OF).index(row["trait"])), base)
    _show_others(others, base)


def _table(*head: str) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")


def _show_ours(mine: Sequence[Row], others: Sequence[Row], base: Row) -> None:
    """Beside the best other at the same divergence, and the best of those that are still about the prompt."""
    head = "trait: measure (unsteered)", "budget", "KL", "ours", "gained", "ours, best other"
    _table(*head, "best that keeps coherence", "coherence", "rep-3", "diversity")
    kept = [other for other in others if apart(other, base)[0] >= -LOSS]
    ahead = ahead_of_kept = close = 0
    for name, (key, _) in MEASURE_OF.items():
        for row in (row for row in mine if row["trait"] == name):
            reached, best, winner = nearest(row, [o for o in others if o["trait"] == name], base)
            level, close_best, close_winner = nearest(row, [o for o in kept if o["trait"] == name], base)
            moved, error = apart(row, base)
            ahead, ahead_of_kept = ahead + (reached >= best), ahead_of_kept + (level >= close_best)
            close += moved >= -LOSS
            print(
                f"| {name}: {key} ({base[key]:.2f}) | {row['strength']} | {row['kl']:.3f} | {row[key]:.2f}"
                f" | {gained(row, base, name):+.2f} | {reached:+.2f}, {best:+.2f} ({winner})"
                f" | {close_best:+.2f} ({close_winner}) | {moved:+.3f} ± {error:.3f}"
                f" | {row['rep-3']:.1f} | {row['diversity']:.2f} |"
            )
    print(
        f"\nOf {len(mine)}: on or above the best other in {ahead}, the best that keeps coherence in", end=" "
    )
    print(f"{ahead_of_kept}; coherence at most {LOSS} lower in {close}.\n")


def _show_matrix(middle: Sequence[Row], base: Row) -> None:
    _table("moved by →", *[row["trait"] for row in middle])
    for key, _ in MEASURE_OF.values():
        moved = [MEASURES[key] * (row[key] - base[key]) for row in middle]
        cells = [f"**{by:+.2f}**" if by == max(moved) else f"{by:+.2f}" for by in moved]
        print(f"| {key} | {' | '.join(cells)} |")
    print()


def _show_others(others: Sequence[Row], base: Row) -> None:
    points = list(dict.fromkeys((row["method"], row["strength"]) for row in others))
    _table("gained (KL, coherence)", *MEASURE_OF)
    for method, strength in points:
        found = {
            row["trait"]: row for row in others if (row["method"], row["strength"]) == (method, strength)
        }
        cells = [_cell(found[name], base) if name in found else "not run" for name in MEASURE_OF]
        print(f"| {method} {strength} | {' | '.join(cells)} |")


def _cell(row: Row, base: Row) -> str:
    plain = cut(base, len(row["texts"]))
    return f"{gained(row, plain, row['trait']):+.2f} ({row['kl']:.3f}, {apart(row, base)[0]:+.3f})"


def draw(rows: Sequence[Row], file: Path) -> None:
    """A panel for each trait: what every method gains at which divergence; one legend in the last panel."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    base = next(row for row in rows if row["method"] == "base")
    others = sorted({row["method"] for row in rows} - {"base", OURS, OURS_WITH_TEXTS})
    colours = {method: plt.get_cmap("tab10")(i) for i, method in enumerate(others)}
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.4))
    for axis, (name, (measure, _)) in zip(axes.flat, MEASURE_OF.items(), strict=False):
        for method in (*others, OURS_WITH_TEXTS, OURS):
            points = sorted(
                (row["kl"], gained(row, cut(base, len(row["texts"])), name))
                for row in rows
                if row["trait"] == name and row["method"] == method
            )
            looks = (
                {"color": colours[method], "linewidth": 1.2, "markersize": 4}
                if method in colours
                else {"color": "black", "linewidth": 2.5, "markersize": 6}
            )
            looks["linestyle"] = "--" if method == OURS_WITH_TEXTS else "-"
            if points:
                axis.plot(*zip((0.0, 0.0), *points, strict=True), marker="o", label=method, **looks)
        ours = [row for row in rows if row["trait"] == name and row["method"] in (OURS, OURS_WITH_TEXTS)]
        top = max((gained(row, base, name) for row in ours), default=1.0)
        axis.set_xlim(0, SHOWN_KL)
        axis.set_ylim(-0.35 * top, 1.15 * top)
        axis.axhline(0, color="grey", linewidth=0.6)
        direction = {1: "more", -1: "lower" if measure == "reading grade" else "fewer"}[MEASURES[measure]]
        axis.set_title(f"{name}: {direction} {measure}", fontsize=10)
        axis.tick_params(labelsize=8)
    for axis in (*axes[1, :3], axes[0, 3]):
        axis.set_xlabel("divergence, nats per token", fontsize=9)
    for row_of_axes in axes:
        row_of_axes[0].set_ylabel("gained over the unsteered", fontsize=9)
    axes[1, 3].axis("off")
    axes[1, 3].legend(*axes[0, 0].get_legend_handles_labels(), loc="center", fontsize=9, frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="AMULET's personal_prompts.json")
    parser.add_argument("--out", type=Path, help="rows are appended here")
    parser.add_argument("--read", type=Path, help="show the rows of a file instead of running")
    parser.add_argument("--plot", type=Path, help="draw the curves into this file")
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
    if given.plot is not None:
        draw(rows, given.plot)


if __name__ == "__main__":
    main()
