"""Made-up people who choose between replies: how soon are their choices foreseen?

    python benchmarks/simulated_people.py fit      # the population that ships: profiles/data/population.npz
    python benchmarks/simulated_people.py table    # held-out choices foreseen after 0 to 50 comparisons
    python benchmarks/simulated_people.py drift    # people who change: what forgetting costs and gains
    python benchmarks/simulated_people.py steer    # the default model under a persona that was learnt

A person is a vector of weights over what replies measure, plus a liking for each single reply that no measure
sees, and chooses with logistic noise. People who are tested were never fitted, and neither were the questions
they are asked about, nor those on which they are tested. Three worlds: as fitted (other people of the same
kind), independent (no shared directions at all), and ideal (a length and a difficulty that suits best, so
that more is not better). The ceiling knows a person's weights; only noise and the unseen are left to it.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnemon.profiles import Leaning, Persona, TraitBank
from mnemon.profiles.asking import Candidates
from mnemon.profiles.choices import Taste
from mnemon.profiles.population import Population, features, felt, fit_population, shipped_population
from mnemon.profiles.variants import questions, replies

Floats = NDArray[np.float64]
SHIPPED = Path(__file__).parents[1] / "profiles" / "data" / "population.npz"
FITTED, ASKED, TESTED = slice(0, 6), slice(6, 11), slice(11, 16)  # of the sixteen questions
POINTS = (0, 2, 5, 10, 20, 50)
REPLIES = 24  # to each question
STRENGTH = 1.1  # of all weights; with the noise this makes people foreseeable in about seven of eight choices
UNSEEN = 0.7  # standard deviation of the liking that no measure sees

# What goes together in people. The weights are of traits' measures, in standard deviations of usual replies.
DIRECTIONS: dict[str, dict[str, float]] = {
    "hurried": {"words": -1.0, "sentence_words": -0.4, "answer_first": 0.5, "hedges": -0.4, "caveats": -0.3},
    "scholar": {"letters_per_word": 0.8, "citations": 0.7, "formality": 0.5, "numbers": 0.4, "hedges": 0.4},
    "friend": {"warmth": 0.8, "emoji": 0.6, "humour": 0.6, "exclamations": 0.5, "contractions": 0.5},
    "learner": {"examples": 0.8, "analogies": 0.6, "steps": 0.6, "letters_per_word": -0.6, "questions": 0.3},
    "orderly": {"bullets": 0.9, "headings": 0.5, "steps": 0.4, "numbers": 0.3, "humour": -0.3},
    "cautious": {"caveats": 0.7, "contrasts": 0.6, "options": 0.5, "hedges": 0.5, "questions": 0.3},
    "at home": {"metric_units": 0.7, "british_spelling": 0.7},
}
EVERYBODY = {
    "words": -0.25,
    "answer_first": 0.3,
    "examples": 0.3,
    "letters_per_word": -0.25,
    "caveats": -0.15,
}


@dataclass(frozen=True)
class Scale:
    """The features of replies as people weigh them: over all shipped questions, so that no split knows it."""

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Scale":
        table = np.stack([felt(text) for text in texts])
        return cls(table.mean(axis=0), np.maximum(table.std(axis=0), 1e-6))

    def __call__(self, text: str) -> Floats:
        found: Floats = (felt(text) - self.centre) / self.spread
        return found


@dataclass
class SimulatedPerson:
    """Weights, what no measure sees, and a seed of their own for their noise."""

    number: int
    weights: Floats
    bend: Floats  # (D,) how much the distance from an ideal costs
    ideal: Floats  # (D,)
    scale: Scale

    def seen(self, text: str) -> float:
        """Liking as far as the measures go: what a learner could know at best."""
        row = self.scale(text)
        return float(self.weights @ row - self.bend @ (row - self.ideal) ** 2)

    def likes(self, text: str) -> float:
        unseen = np.random.default_rng([self.number, *text.encode()[-40:], len(text)]).normal() * UNSEEN
        return self.seen(text) + float(unseen)

    def chance(self, first: str, second: str) -> float:
        return 1 / (1 + math.exp(-float(np.clip(self.likes(first) - self.likes(second), -50, 50))))

    def chooses(self, first: str, second: str, rng: np.random.Generator) -> tuple[str, str]:
        """(chosen, rejected)"""
        return (first, second) if rng.random() < self.chance(first, second) else (second, first)


def vector(weights: dict[str, float]) -> Floats:
    return np.array([weights.get(name, 0.0) for name in features()])


def person(number: int, scale: Scale, *, world: str = "as fitted") -> SimulatedPerson:
    rng = np.random.default_rng([7, number])
    size = len(features())
    none = np.zeros(size)
    own = rng.normal(size=size) * 0.25
    if world == "independent":
        return SimulatedPerson(number, STRENGTH * rng.normal(size=size) * 0.5, none, none, scale)
    shared = sum(rng.normal() * vector(direction) for direction in DIRECTIONS.values())
    weights = STRENGTH * (vector(EVERYBODY) + shared + own)
    if world == "as fitted":
        return SimulatedPerson(number, weights, none, none, scale)
    bent = vector({"words": 1.0, "letters_per_word": 1.0})
    return SimulatedPerson(number, weights * (1 - bent), 0.5 * STRENGTH * bent, rng.normal(size=size), scale)


def corpus(part: slice) -> list[Candidates]:
    return [Candidates(one.ask, replies(one, REPLIES, seed=1)) for one in questions()[part]]


def some_pairs(
    groups: Sequence[Candidates], count: int, rng: np.random.Generator
) -> list[tuple[str, str, str]]:
    """(question, first, second), two different replies to one question."""
    found = []
    for _ in range(count):
        group = groups[rng.integers(len(groups))]
        first, second = rng.choice(len(group.replies), size=2, replace=False)
        found.append((group.question, group.replies[first], group.replies[second]))
    return found


def everything() -> Scale:
    return Scale.of([text for group in corpus(slice(0, 16)) for text in group.replies])


def fit(people: int, choices: int, rank: int, path: Path) -> Population:
    """Everybody chooses among replies to the six questions of fitting."""
    scale, groups, made = everything(), corpus(FITTED), []
    for number in range(people):
        rng = np.random.default_rng([11, number])
        someone = person(100_000 + number, scale)
        made.append([someone.chooses(a, b, rng) for _, a, b in some_pairs(groups, choices, rng)])
    card = {
        "made by": f"benchmarks/simulated_people.py fit --people {people} --choices {choices} --rank {rank}",
        "from": "made-up people choosing between made-up replies; no real person's data",
        "licence": "Apache-2.0, with the code",
    }
    found = fit_population(made, rank=rank, card=card)
    found.save(path)
    return found


Learner = Callable[[], Taste]


def flat(population: Population) -> Population:
    """The same measures, and nothing known of people: each weight on its own, around nothing."""
    size = len(population.mean)
    spread = float(np.mean(population.typical**2))
    return Population(
        features=population.features,
        centre=population.centre,
        scale=population.scale,
        mean=np.zeros(size),
        basis=np.zeros((size, 1)),
        residual=np.full(size, spread),
    )


def curve(
    someone: SimulatedPerson,
    taste: Taste,
    *,
    active: bool,
    most: int,
    asked: list[Candidates],
    tested: list[Candidates],
) -> list[float]:
    """The chance that a fresh choice between held-out replies is foreseen, after 0, 1, … choices."""
    rng = np.random.default_rng([13, someone.number])
    held_out = some_pairs(tested, 150, np.random.default_rng([17, someone.number]))
    agreed = np.array([someone.chance(a, b) for _, a, b in held_out])
    rows = np.stack([taste.population.represent(a) - taste.population.represent(b) for _, a, b in held_out])
    found = []
    for step in range(most + 1):
        if step:
            if active:
                question, first, second, _ = taste.next_pair(asked)
            else:
                question, first, second = some_pairs(asked, 1, rng)[0]
            taste.update(*someone.chooses(first, second, rng), query=question)
        margins = rows @ taste._gaussian(())[0]
        found.append(float(np.where(margins > 0, agreed, 1 - agreed).mean()))
    return found


def ceiling(someone: SimulatedPerson, tested: list[Candidates]) -> float:
    held_out = some_pairs(tested, 150, np.random.default_rng([17, someone.number]))
    right = [
        p if someone.seen(a) > someone.seen(b) else 1 - p
        for (_, a, b), p in zip(held_out, [someone.chance(a, b) for _, a, b in held_out], strict=True)
    ]
    return float(np.mean(right))


def interval(values: Floats, statistic: Callable[[Floats], float]) -> str:
    """95 % by bootstrap over people; values (people, …)."""
    rng = np.random.default_rng(0)
    draws = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(1000)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return f"{statistic(values):.3f} [{low:.3f}, {high:.3f}]"


def reached(mean_curve: Floats, level: float) -> float:
    """Comparisons until the mean curve first stands at a level, between whole numbers by a straight line."""
    if mean_curve[0] >= level:
        return 0.0
    for place, (before, after) in enumerate(pairwise(mean_curve)):
        if after >= level:
            return float(place + (level - before) / (after - before))
    return math.nan


def table(people: int, worlds: Sequence[str], first: int) -> None:
    scale, asked, tested = everything(), corpus(ASKED), corpus(TESTED)
    population = shipped_population()
    for world in worlds:
        group = [person(first + number, scale, world=world) for number in range(people)]
        tops = np.array([ceiling(one, tested) for one in group])
        print(f"\n{world}: {people} people; ceiling {interval(tops, lambda v: float(v.mean()))}")
        print(f"{'':28s}" + "".join(f"{n:>24d}" for n in POINTS))
        curves: dict[str, Floats] = {}
        learners: dict[str, tuple[bool, Callable[[SimulatedPerson], Taste]]] = {
            "random pairs": (False, lambda _: Taste(population)),
            "active pairs": (True, lambda _: Taste(population)),
            "random, no population": (False, lambda _: Taste(flat(population))),
            "random, two wishes told": (False, lambda one: Taste(population, told=wishes(one))),
        }
        for name, (active, learner) in learners.items():
            curves[name] = np.array(
                [
                    curve(one, learner(one), active=active, most=POINTS[-1], asked=asked, tested=tested)
                    for one in group
                ]
            )
            cells = [interval(curves[name][:, n], lambda v: float(v.mean())) for n in POINTS]
            print(f"{name:28s}" + "".join(f"{cell:>24s}" for cell in cells), flush=True)
        both = np.stack([curves["random pairs"], curves["active pairs"]], axis=1)
        at_ten = float(both[:, 0, 10].mean())
        for level in (0.75, at_ten):
            random, active = (reached(both[:, side].mean(axis=0), level) for side in (0, 1))
            if math.isnan(random + active):
                print(f"to {level:.3f}: not reached by both ({random:.1f} random, {active:.1f} active)")
                continue
            share = interval(both, partial(share_of_pairs, level=level))
            print(f"to {level:.3f}: random {random:.1f}, active {active:.1f} comparisons; share {share}")


def share_of_pairs(curves: Floats, *, level: float) -> float:
    """Active comparisons for each random one until a level is reached; curves (people, 2, comparisons)."""
    random, active = (reached(curves[:, side].mean(axis=0), level) for side in (0, 1))
    return active / random if random else math.nan


def drift(people: int, first: int) -> None:
    """Sixty choices as one person, then forty as another who keeps a third of the old weights."""
    scale, asked, tested = everything(), corpus(ASKED), corpus(TESTED)
    print(f"{'half-life':>12s}{'before':>24s}{'10 after':>24s}{'20 after':>24s}{'40 after':>24s}")
    for half_life in (math.inf, 150.0, 60.0, 30.0):
        rows = []
        for number in range(first, first + people):
            old, other = person(number, scale), person(500_000 + number, scale)
            new = replace(other, number=number, weights=0.33 * old.weights + 0.94 * other.weights)
            taste = Taste(shipped_population(), half_life=half_life)
            before = curve(old, taste, active=False, most=60, asked=asked, tested=tested)[-1]
            after = curve(new, taste, active=False, most=40, asked=asked, tested=tested)
            rows.append([before, after[10], after[20], after[40]])
        cells = [interval(column, lambda v: float(v.mean())) for column in np.array(rows).T]
        print(f"{half_life:12.0f}" + "".join(f"{cell:>24s}" for cell in cells), flush=True)


def wishes(someone: SimulatedPerson) -> list[Leaning]:
    """The two things that matter most to them, as they would say them: the direction, and no number."""
    found = []
    for place in np.argsort(-np.abs(someone.weights))[:2]:
        trait = next(one for one in TraitBank.load().values() if one.measure == features()[place])
        sign = math.copysign(1.0, someone.weights[place]) * (-1 if trait.falls else 1)
        found.append(Leaning(trait=trait.name, weight=sign * 0.8, confidence=0.8, origin="said"))
    return found


WAYS = ("nothing", "prompt", "steering")
ASIDE = ("How do I make good coffee?", "Tell me about the moon.", "Any tips for a rainy Sunday?")


def steer(people: int, first: int, choices: int, tokens: int, output: Path) -> None:
    """Replies of the default model under the persona learnt from a person's choices: are they liked better?

    The persona is the same both ways: as instructions in the prompt, and compiled for the decoder. Liking is
    the person's hidden one over what replies measure, so that the learner's mistakes cost.
    """
    from mnemon.agent import LocalChatModel, ReplyOptions
    from mnemon.agent.local import with_instruction

    model, options = LocalChatModel.open(), ReplyOptions(max_tokens=tokens)
    scale, asked = everything(), corpus(ASKED)
    plain = {ask: model.stream([{"role": "user", "content": ask}], options).reply.text for ask in ASIDE}
    with output.open("w", encoding="utf-8") as lines:
        for number in range(first, first + people):
            someone, taste = person(number, scale), Taste()
            curve(someone, taste, active=True, most=choices, asked=asked, tested=asked)
            persona = Persona().having(taste.leanings())
            for ask in ASIDE:
                messages = [{"role": "user", "content": ask}]
                plan = persona.plan(ask)
                told = with_instruction(messages, " ".join(plan.instructions)) if plan else messages
                texts = {
                    "nothing": plain[ask],
                    "prompt": model.stream(told, options).reply.text,
                    "steering": model.steer(
                        messages, persona.compile(model, ask), options=options
                    ).reply.text,
                }
                wishes = {wish.trait.name: wish.pull for wish in plan.wishes}
                row = {"person": number, "ask": ask, "wishes": wishes, "texts": texts}
                print(json.dumps(row, ensure_ascii=False), file=lines, flush=True)
    shown_liking(output)


def shown_liking(output: Path) -> None:
    """How much better than nothing, in the person's own liking, and by the measures that were wished for."""
    scale, bank = everything(), TraitBank.load()
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    numbers = sorted({row["person"] for row in rows})
    someone = {number: person(number, scale) for number in numbers}
    for way in WAYS[1:]:
        gains, moved = [], []
        for number in numbers:
            own = [row for row in rows if row["person"] == number]
            likes = someone[number].seen
            gains.append(np.mean([likes(row["texts"][way]) - likes(row["texts"]["nothing"]) for row in own]))
            steps = []
            for row in own:
                step = scale(row["texts"][way]) - scale(row["texts"]["nothing"])
                for name, pull in row["wishes"].items():
                    sign = math.copysign(-1.0 if bank[name].falls else 1.0, pull)
                    if bank[name].measure in features():
                        steps.append(sign * step[features().index(bank[name].measure)])
            moved.append(np.mean(steps) if steps else 0.0)
        print(
            f"{way:10s} liking above nothing {interval(np.array(gains), lambda v: float(v.mean()))},"
            f" wished measures moved by {interval(np.array(moved), lambda v: float(v.mean()))} deviations;"
            f" people better off {np.mean(np.array(gains) > 0):.2f} of {len(numbers)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    fitting = parts.add_parser("fit")
    fitting.add_argument("--people", type=int, default=600)
    fitting.add_argument("--choices", type=int, default=80)
    fitting.add_argument("--rank", type=int, default=5)
    fitting.add_argument("--output", type=Path, default=SHIPPED)
    shown = parts.add_parser("table")
    shown.add_argument("--people", type=int, default=100)
    shown.add_argument("--worlds", default="as fitted,independent,ideal")
    moved = parts.add_parser("drift")
    moved.add_argument("--people", type=int, default=24)
    steered = parts.add_parser("steer")
    steered.add_argument("--people", type=int, default=8)
    steered.add_argument("--choices", type=int, default=10)
    steered.add_argument("--tokens", type=int, default=64)
    steered.add_argument("--output", type=Path, default=Path("steered.jsonl"))
    for part in (shown, moved, steered):
        part.add_argument("--first", type=int, default=0, help="the first person; 10000 for development")
    given = parser.parse_args()
    if given.part == "fit":
        found = fit(given.people, given.choices, given.rank, given.output)
        print(json.dumps(dict(zip(found.features, np.round(found.mean, 2).tolist(), strict=True))))
    elif given.part == "steer":
        steer(given.people, given.first, given.choices, given.tokens, given.output)
    elif given.part == "drift":
        drift(given.people, given.first)
    else:
        table(given.people, given.worlds.split(","), given.first)


if __name__ == "__main__":
    main()
