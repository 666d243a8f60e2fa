"""A persona fitted to what the person really chose, by the log-likelihood that a model gives to it.

After PersonaAgent (arXiv:2506.06254), whose loss is a judge's words about simulated answers: here it is a
number, how much likelier the chosen reply is than the rejected one under the persona's instructions. Greedy
over traits; half of the choices judge and do not fit. Knows a model by protocol.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from mnemon.errors import UsageError
from mnemon.profiles.persona import Leaning, Persona
from mnemon.profiles.traits import TraitBank

STEPS = (1.0, -1.0)  # a trait is wanted, or its opposite
FEWEST = 4  # choices
GAIN = 0.01  # nats a choice: less is noise
INTRODUCTION = "How this person wants to be answered:"


class Choice(NamedTuple):
    prompt: str
    chosen: str
    rejected: str


class Optimised(NamedTuple):
    """The persona that was found and its loss on the choices that were held out, before and after."""

    persona: Persona
    before: float
    after: float


class Scorer(Protocol):
    """What is asked of a model: log p of each continuation as the reply, in nats."""

    def log_likelihood(
        self, messages: Sequence[Mapping[str, str]], continuations: Sequence[str]
    ) -> list[float]: ...


def optimised(
    start: Persona,
    choices: Sequence[Choice],
    model: Scorer,
    *,
    rounds: int = 12,
    bank: TraitBank | None = None,
) -> Optimised:
    """The persona with the traits that make the chosen replies likelier. At most `rounds` traits are tried,
    those first that the person's choices differ in most; one is kept when it lowers the loss of the fitting
    half, and all of them only when they lower that of the other half, too."""
    if len(choices) < FEWEST:
        raise UsageError(
            f"There are {len(choices)} choices, {FEWEST} are needed.",
            hint="`mnemon feedback ask` asks for some.",
        )
    traits = TraitBank.load() if bank is None else bank
    fit, held = choices[::2], choices[1::2]
    best, best_loss = start, loss(start, fit, model, bank=traits)
    for name in _promising(fit, traits)[:rounds]:
        for weight in STEPS:
            tried = best.having([Leaning(trait=name, weight=weight, confidence=0.5, origin="choices")])
            found = loss(tried, fit, model, bank=traits)
            if found < best_loss - GAIN:
                best, best_loss = tried, found
    before, after = (loss(one, held, model, bank=traits) for one in (start, best))
    if after >= before:
        return Optimised(start, before, before)
    return Optimised(replace(best, name=start.name), before, after)


def loss(persona: Persona, choices: Sequence[Choice], model: Scorer, *, bank: TraitBank) -> float:
    """Mean of −log σ(margin): by how much the chosen reply's log-likelihood per word beats the other's."""
    total = 0.0
    for choice in choices:
        plan = replace(persona, parents=()).plan(choice.prompt, bank=bank)
        messages = [{"role": "user", "content": choice.prompt}]
        if plan.instructions:
            wishes = "\n".join(f"- {line}" for line in plan.instructions)
            messages.insert(0, {"role": "system", "content": f"{INTRODUCTION}\n{wishes}"})
        likely = model.log_likelihood(messages, [choice.chosen, choice.rejected])
        # Per word: the sum would say of every short reply that it is the likelier one.
        good, bad = (
            value / max(1, len(text.split()))
            for value, text in zip(likely, (choice.chosen, choice.rejected), strict=True)
        )
        total += math.log1p(math.exp(-(good - bad)))
    return total / len(choices)


def _promising(choices: Sequence[Choice], bank: TraitBank) -> list[str]:
    """Traits in the order in which chosen and rejected replies differ in their measures."""
    from mnemon.profiles.measures import MEASURES, Reading

    differs: dict[str, float] = {}
    for trait in bank.values():
        if not trait.measure:
            continue
        measure = MEASURES[trait.measure]
        gaps = [
            measure.felt(measure.count(Reading(one.chosen)))
            - measure.felt(measure.count(Reading(one.rejected)))
            for one in choices
        ]
        mean = sum(gaps) / len(gaps)
        spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
        differs[trait.name] = abs(mean) / (spread + 0.1)
    return sorted((name for name in differs if differs[name] > 0), key=lambda name: -differs[name])
