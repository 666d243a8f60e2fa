"""Ways to like a reply that can be counted, ready to use: short sentences, plain words, questions, and so on.

A model of a hundred million weights hardly follows "use short sentences", said in the prompt or contrasted as
an `attribute`; it does follow a rule over the words themselves, and for less divergence. Each trait here is
such rules; what they gain for which divergence is measured (docs/decoding.md).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from mnemon.agent.decoding.rewards import (
    Lexicon,
    PlainWords,
    ReplyLength,
    SentenceLength,
    SentenceMark,
    SentenceOpening,
)
from mnemon.agent.decoding.steering import Term, TokenReward
from mnemon.errors import UsageError

# A rule's reward is about 1 where it has a say and 0 elsewhere; a contrast is scaled to spread 1 at every
# step. Under their common λ (0.3 to 0.5 at the default budget) a rule has to weigh this much to be heard.
RULE_WEIGHT = 10.0

HEDGES = ("perhaps", "maybe", "might", "may", "could", "possibly", "probably", "likely", "often", "usually")
SECOND_PERSON = ("you", "your", "yours", "yourself")
# Not "when", "have" and "where": more statements than questions begin with them.
ASKING = ("what", "how", "do", "are", "would", "which", "is", "why", "who", "can", "does", "could", "should")
ASKING_REST = 2  # sentences between two questions; without it, a question is asked again and again

_WORD = re.compile(r"\w{4,}")  # shorter ones are never long


class Asked(NamedTuple):
    """What a trait's rules must know of the reply they lead: the tokens that end it, words asked about."""

    end_ids: frozenset[int]
    words: tuple[str, ...] = ()


class Trait(NamedTuple):
    """What it is in words (for people, and as an instruction), and its rules for a reply."""

    about: str
    rules: Callable[[Asked], Mapping[str, tuple[TokenReward, float]]]


TRAITS: Mapping[str, Trait] = {
    "short sentences": Trait(
        "Use very short sentences.", lambda _: {"sentence length": (SentenceLength(6), 1.0)}
    ),
    "plain": Trait(
        "Use simple words that a child knows.",
        lambda asked: {
            "word length": (PlainWords(spared=asked.words), 0.3),
            "sentence length": (SentenceLength(6), 1.5),
        },
    ),
    "brief": Trait(
        "Answer in one short sentence.",
        lambda asked: {"reply length": (ReplyLength(15, end_ids=asked.end_ids), 1.0)},
    ),
    "excited": Trait(
        "Be excited! Use exclamation marks!", lambda _: {"exclamation marks": (SentenceMark("!"), 1.0)}
    ),
    "careful": Trait(
        "Hedge: say perhaps, maybe, might, could.",
        lambda _: {"hedges": (Lexicon(HEDGES, rest=8, beginnings=False), 1.0)},
    ),
    "asks": Trait(
        "Ask the user questions.",
        lambda _: {
            "openings": (SentenceOpening(ASKING, rest=ASKING_REST), 1.0),
            "question marks": (SentenceMark("?", rest=ASKING_REST), 2.0),
        },
    ),
    "personal": Trait(
        "Speak to the user as you, about their life.",
        lambda _: {"second person": (Lexicon(SECOND_PERSON, rest=6, beginnings=False), 1.0)},
    ),
}


def trait(name: str, *, end_ids: Iterable[int], asked: str = "", weight: float = 1.0) -> list[Term]:
    """The terms of a trait. `end_ids` end a reply (`model.codec.end_ids`); a negative weight is a dislike.

    `asked` is the message that is answered: its words are not what a rule about wording is about.
    """
    check_traits([name])
    rules = TRAITS[name].rules(Asked(frozenset(end_ids), words_of(asked)))
    return [
        Term(
            name=name if len(rules) == 1 else f"{name}: {part}",
            reward=reward,
            weight=weight * RULE_WEIGHT * share,
            normalise="center",
        )
        for part, (reward, share) in rules.items()
    ]


def words_of(message: str) -> tuple[str, ...]:
    """Those of a message that a rule about wording may spare."""
    return tuple(dict.fromkeys(_WORD.findall(message.lower())))


def check_traits(names: Iterable[str]) -> None:
    """Refuses a name that is none, before a model is opened for it."""
    for name in names:
        if name not in TRAITS:
            raise UsageError(f"There is no trait {name!r}; there are {', '.join(map(repr, TRAITS))}.")
