"""From a persona's plan to a steering: traits become rewards, their certainty the λ budget.

A trait is led by the contrast of its instruction with its opposite, and by a rule over the words where it has
one; beside rules stands a term that keeps replies to the point. Lines about the person are led by the
contrast with and without them. Knows no memory and no person.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from mnemon.agent.decoding import Branch, Contrast, Steering, Term, budgeted
from mnemon.agent.decoding.policies import DEFAULT_EPSILON
from mnemon.agent.decoding.presets import on_topic
from mnemon.agent.decoding.rewards import (
    Lexicon,
    PlainWords,
    ReplyLength,
    SentenceLength,
    SentenceMark,
    SentenceOpening,
)
from mnemon.agent.decoding.steering import CandidateReward, TokenReward
from mnemon.agent.decoding.traits import ASKING_REST, RULE_WEIGHT, Asked, words_of
from mnemon.profiles import Plan, Trait

SHORT_REPLY, LONG_REPLY = 25.0, 150.0  # words
SHORT_SENTENCE, LONG_SENTENCE = 8.0, 25.0  # words
MARKS = frozenset(".!?")
ABOUT = "The person you answer:\n{lines}\nYour answer suits this person."


@dataclass(frozen=True, kw_only=True)
class PersonaSteering(Steering):
    """A steering that says what it was made from: levels, kind of question, evidence (`plan.to_dict()`)."""

    plan: Plan


def steering_for(
    plan: Plan, *, end_ids: Iterable[int] = (), asked: str = "", epsilon: float = DEFAULT_EPSILON
) -> PersonaSteering:
    """The plan as rewards under a divergence budget of `epsilon` nats a token, less where the plan is unsure.
    `end_ids` are the tokens that end a reply; without them its length cannot be led. `asked` is the message
    that is answered: its words are nobody's style."""
    about = Asked(frozenset(end_ids), words_of(asked))
    terms = [term for wish in plan.wishes for term in _terms(wish.trait, wish.pull, about)]
    if any(_is_rule(term) for term in terms):
        terms.append(on_topic())
    if plan.about:
        lines = "\n".join(f"- {line}" for line in plan.about)
        branch = Branch(name="about the person", instruction=ABOUT.format(lines=lines))
        terms.append(Term(name="about the person", reward=Contrast(branch)))
    usual = budgeted(terms, epsilon=epsilon * plan.strength)
    parts = {part.name: getattr(usual, part.name) for part in fields(usual)}
    return PersonaSteering(**{**parts, "name": "persona"}, plan=plan)


def _is_rule(term: Term) -> bool:
    return not isinstance(term.reward, CandidateReward) and not term.reward.branches


def _terms(trait: Trait, pull: float, asked: Asked) -> list[Term]:
    """One trait's rewards, each weighed as it is heard: a contrast by its own spread, a rule as it is."""
    terms = []
    for name, reward, weight in _rewards(trait, pull >= 0, asked):
        contrast = bool(reward.branches)
        terms.append(
            Term(
                name=name,
                reward=reward,
                weight=abs(pull) * weight * (1.0 if contrast else RULE_WEIGHT),
                normalise="zscore" if contrast else "center",
            )
        )
    return terms


def _rewards(trait: Trait, wanted: bool, asked: Asked) -> Iterator[tuple[str, TokenReward, float]]:
    """Name, reward and weight of each way in which a trait is led."""
    name = trait.name if wanted else f"not {trait.name}"
    for way in trait.steering:
        match way:
            case "attribute":
                said, opposite = trait.said(1 if wanted else -1), trait.said(-1 if wanted else 1)
                against = Branch(name=f"opposite of {name}", instruction=opposite)
                yield name, Contrast(Branch(name=name, instruction=said), against), 1.0
            case "reply-length":
                if asked.end_ids:
                    words = SHORT_REPLY if wanted else LONG_REPLY
                    yield f"{name}: length", ReplyLength(words, end_ids=asked.end_ids), 1.0
            case "sentence-length":
                yield f"{name}: sentences", SentenceLength(SHORT_SENTENCE if wanted else LONG_SENTENCE), 1.0
            case "plain-words":
                yield f"{name}: words", PlainWords(spared=asked.words), 0.3 if wanted else -0.3
            case "lexicon" | "sentence-mark" | "sentence-opening":
                yield from _by_words(trait, name, way, wanted)


def _by_words(trait: Trait, name: str, way: str, wanted: bool) -> Iterator[tuple[str, TokenReward, float]]:
    """Towards the words of what is wanted, and away from those of its opposite."""
    for words, weight in ((trait.words, 1.0), (trait.opposite_words, -1.0)):
        marks = [word for word in words if word in MARKS]
        others = [word for word in words if word not in MARKS]
        signed = weight if wanted else -weight
        rest = ASKING_REST if "?" in marks and signed > 0 else 0  # what is unwanted is so every time
        label = f"{name}: {'more' if signed > 0 else 'fewer'}"
        if way == "sentence-mark" and marks:
            yield f"{label} {marks[0]}", SentenceMark(marks[0], rest=rest), signed
        if way == "sentence-opening" and others:
            yield f"{label} openings such as {others[0]!r}", SentenceOpening(others, rest=rest), signed / 2
        if way == "lexicon" and others:
            yield f"{label} {others[0]!r}", Lexicon(others, rest=8, beginnings=False), signed
