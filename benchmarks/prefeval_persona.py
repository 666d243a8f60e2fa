"""Does a profile help to honour a preference? PrefEval's multiple choice, five ways of using what was said.

    python benchmarks/prefeval_persona.py PREFEVAL [--items 60]

Each item: the preference is told once among filler turns, the profiler reads them, a question is asked, and
the option with the highest log-likelihood per word is taken (chance 0.25). "steering" takes what the profile
makes likelier, log p(option | profile) − log p(option), which is where the decoder's contrast leads; "both"
adds it to the profile in the prompt. Items are every tenth of each topic, fixed before anything was run.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mnemon import Memory
from mnemon.agent import LocalChatModel
from mnemon.evals.stats import mean_interval, paired_test
from mnemon.memory import Person
from mnemon.profiles import profile_of

ABOUT = "The person you answer:\n{lines}\nYour answer suits this person."
LAMBDA = 1.0
WAYS = ("none", "profile in prompt", "retrieval", "steering", "both")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="PrefEval's folder")
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--fillers", type=int, default=10, help="filler turns beside the preference")
    args = parser.parse_args()
    model = LocalChatModel.open()
    fillers = _fillers(args.data)
    rows: list[dict[str, Any]] = []
    for topic, place, item in _items(args.data, args.items):
        with Memory.open(":memory:") as memory:
            ana = memory.for_user("ana")
            dice = random.Random(f"{topic}/{place}")
            turns = [item["preference"], *dice.sample(fillers, args.fillers)]
            dice.shuffle(turns)
            for number, turn in enumerate(turns):
                ana.remember(turn, session=f"s{number}")
            rows.append({"topic": topic, **_answered(item, ana, model, dice)})
    _report(rows)


def _items(data: Path, limit: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every tenth item, the topics in turn."""
    topics = {
        file.stem: json.loads(file.read_text()) for file in sorted((data / "mcq_options").glob("*.json"))
    }
    given = 0
    for place in range(0, 50, 10):
        for topic, items in topics.items():
            if place < len(items) and given < limit:
                given += 1
                yield topic, place, items[place]


def _fillers(data: Path) -> list[str]:
    conversations = json.loads((data / "filtered_inter_turns.json").read_text())
    said = [one["content"] for talk in conversations for one in talk["conversation"] if one["role"] == "user"]
    return [text for text in said if len(text) < 1_000]


def _answered(
    item: dict[str, Any], ana: Person, model: LocalChatModel, dice: random.Random
) -> dict[str, Any]:
    """Whether each way takes the option that honours the preference, and whether the profile holds it."""
    question, options = item["question"], list(item["classification_task_options"])
    right = options[0]
    dice.shuffle(options)
    known = profile_of(ana).about(question)
    found = [hit.text for hit in ana.recall(question, k=2)]

    def likely(lines: Sequence[str]) -> list[float]:
        listed = "\n".join(f"- {line}" for line in lines)
        system = [{"role": "system", "content": ABOUT.format(lines=listed)}] if lines else []
        values = model.log_likelihood([*system, {"role": "user", "content": question}], options)
        return [value / len(option.split()) for value, option in zip(values, options, strict=True)]

    plain, told, recalled = likely(()), likely(known), likely(found)
    contrast = [with_it - without for with_it, without in zip(told, plain, strict=True)]
    both = [with_it + LAMBDA * more for with_it, more in zip(told, contrast, strict=True)]
    scores = dict(zip(WAYS, (plain, told, recalled, contrast if known else plain, both), strict=True))
    answers = {
        way: float(options[max(range(4), key=found.__getitem__)] == right) for way, found in scores.items()
    }
    words = {word for word in item["preference"].casefold().split() if len(word) > 4}
    held = any(len(words & set(line.casefold().split())) >= min(2, len(words)) for line in known)
    return {**answers, "held": float(held), "recalled": float(item["preference"] in found)}


def _report(rows: Sequence[dict[str, Any]]) -> None:
    topics = [row["topic"] for row in rows]
    for name in (*WAYS, "held", "recalled"):
        values = [row[name] for row in rows]
        found = mean_interval(values, topics)
        assert found is not None
        low, high = found.low or 0.0, found.high or 0.0
        against = paired_test([row["none"] for row in rows], values, topics)
        compared = f"wins {against.wins} losses {against.losses}  p {against.p_item:.3f}"
        print(f"{name:<18} {found.value:.3f} [{low:.2f}, {high:.2f}]  {compared}")
    print(f"n = {len(rows)}, topics {len(set(topics))}")


if __name__ == "__main__":
    main()
