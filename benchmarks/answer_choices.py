"""Which of several answers a steered model finds likeliest: finer than the words of its replies.

The right answer stands among answers to other questions. Each is read token by token through the product's
own step, as if the model wrote it; what the same step would have said unsteered comes with it.
"""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from many_replies import SteeringFor, Written, mean, write_all

from mnemon.agent import LocalChatModel, Message
from mnemon.evals.metrics.locomo import normalise

LONGEST = 24  # tokens of a choice that are read


class Answered(NamedTuple):
    """A question's answer, and what it shares with others: the kind before all else."""

    question: str
    kind: str
    answer: str


def wrong_answers(known: Sequence[Answered], asked: Answered, *, count: int) -> list[str]:
    """Answers to other questions, of the same kind as far as there are enough; drawn by the question's name.

    None says the same as the right one or as another, in other case or punctuation, or as a part of it.
    """
    dice = random.Random(asked.question)
    drawn = dice.sample(known, len(known))
    taken: list[str] = []
    for other in sorted(drawn, key=lambda one: one.kind != asked.kind):
        clash = any(_alike(other.answer, said) for said in (asked.answer, *taken))
        if not clash and len(taken) < count:
            taken.append(other.answer)
    return taken


def _alike(one: str, other: str) -> bool:
    first, second = (f" {normalise(text)} " for text in (one, other))
    return first in second or second in first


def read_choices(
    model: LocalChatModel,
    conversations: Sequence[Sequence[Message]],
    steering: SteeringFor,
    choices: Sequence[Sequence[str]],
) -> list[list[Written]]:
    """Every conversation's choices, read under its steering."""
    places = [place for place, offered in enumerate(choices) for _ in offered]
    ids = [model.codec.encode(text)[:LONGEST] for offered in choices for text in offered]
    read = iter(
        write_all(
            model,
            [conversations[place] for place in places],
            lambda row: steering(places[row]),
            max_tokens=LONGEST,
            forced=ids,
        )
    )
    return [[next(read) for _ in offered] for offered in choices]


def chosen_right(log_p: Sequence[Sequence[float]]) -> Mapping[str, float]:
    """From the log-probabilities of each choice's tokens, the right one's first, how it fares."""
    means, sums = [mean(one) for one in log_p], [sum(one) for one in log_p]
    return {
        "chosen": float(means[0] > max(means[1:])),  # by token: the sum alone prefers the shortest
        "chosen by sum": float(sums[0] > max(sums[1:])),
        "log p per token": means[0],
        "ahead of the others": means[0] - mean(means[1:]),
    }
