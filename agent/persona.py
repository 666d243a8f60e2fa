"""From a persona's plan to a steering: traits become rewards, their certainty the λ budget.

A trait is led by the contrast of its instruction with its opposite, and by a rule over the words where it has
one; lines about the person by the contrast with and without them. Knows no memory and no person.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

from mnemon.agent.decoding import Branch, Contrast, Steering, Term, attribute, budgeted
from mnemon.agent.decoding.policies import DEFAULT_EPSILON
from mnemon.agent.decoding.rewards import Lexicon, PlainWords, ReplyLength, SentenceLength
from mnemon.agent.decoding.steering import TokenReward
from mnemon.profiles import Plan, Trait

SHORT_REPLY, LONG_REPLY = 25.0, 150.0  # words
SHORT_SENTENCE, LONG_SENTENCE = 8.0, 25.0  # words
ABOUT = "The person you answer:\n{lines}\nYour answer suits this person."


@dataclass(frozen=True, kw_only=True)
class PersonaSteering(Steering):
    """A steering that says what it was made from: levels, kind of question, evidence (`plan.to_dict()`)."""

    plan: Plan


def steering_for(
    plan: Plan, *, end_ids: Iterable[int] = (), epsilon: float = DEFAULT_EPSILON
) -> PersonaSteering:
    """The plan as rewards under a divergence budget of `epsilon` nats a token, less where the plan is unsure.
    `end_ids` are the tokens that end a reply; without them its length cannot be led."""
    ends = tuple(end_ids)
    terms = [term for wish in plan.wishes for term in _terms(wish.trait, wish.pull, ends)]
    if plan.about:
        lines = "\n".join(f"- {line}" for line in plan.about)
        branch = Branch(name="about the person", instruction=ABOUT.format(lines=lines))
        terms.append(Term(name="about the person", reward=Contrast(branch)))
    usual = budgeted(terms, epsilon=epsilon * plan.strength)
    parts = {part.name: getattr(usual, part.name) for part in fields(usual)}
    return PersonaSteering(**{**parts, "name": "persona"}, plan=plan)


def _terms(trait: Trait, pull: float, ends: tuple[int, ...]) -> list[Term]:
    """One trait's rewards; together they weigh as much as the trait is wanted."""
    rewards = list(_rewards(trait, pull >= 0, ends))
    share = abs(pull) / max(1, len(rewards))
    return [
        Term(name=name, reward=reward, weight=share * sign, normalise="zscore")
        for name, reward, sign in rewards
    ]


def _rewards(trait: Trait, wanted: bool, ends: tuple[int, ...]) -> Iterator[tuple[str, TokenReward, float]]:
    """Name, reward and sign of each way in which a trait is led."""
    said, opposite = trait.said(1 if wanted else -1), trait.said(-1 if wanted else 1)
    name = trait.name if wanted else f"not {trait.name}"
    for way in trait.steering:
        match way:
            case "attribute":
                contrast = attribute(name, said, opposite=opposite)
                # Two branches of one trait and its opposite have the same names whichever is wanted.
                against = replace(contrast.against, name=f"opposite of {name}")
                yield name, Contrast(contrast.wanted, against), 1.0
            case "reply-length":
                if ends:
                    words = SHORT_REPLY if wanted else LONG_REPLY
                    yield f"{name}: length", ReplyLength(words, end_ids=ends), 1.0
            case "sentence-length":
                yield f"{name}: sentences", SentenceLength(SHORT_SENTENCE if wanted else LONG_SENTENCE), 1.0
            case "plain-words":
                yield f"{name}: words", PlainWords(), 1.0 if wanted else -1.0
            case "lexicon":
                lists = (trait.words, trait.opposite_words)
                for words, sign in zip(lists, (1.0, -1.0) if wanted else (-1.0, 1.0), strict=True):
                    if words:
                        label = f"{name}: {'more' if sign > 0 else 'less'} {words[0]}"
                        yield label, Lexicon(words), sign
