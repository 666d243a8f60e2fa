"""What the steering curves compare: our policy and every published method that a trait can be given to.

A trait is given as its rules (ours, ARGS, PANDA), as its instruction and the opposite of that (guidance,
experts, PAD, CoPe, contrastive decoding), or as what a made-up person has written (StyleVector; ours with
the rules beside it).

Methods that differ by a formula's constant are one curve here: l + γ·(l_persona − l) is CFG, CoS (λ = γ − 1),
Linear Alignment, MOD and GenARM over prompts (γ < 1), CoSteer with rows of the same model, AMULET at 5.65;
l + α·(l_persona − l_opposite) is proxy tuning, DExperts and Drift.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from many_replies import SteeringFor
from style_texts import HISTORIES, PLAINLY

from mnemon.agent import LocalChatModel
from mnemon.agent.decoding import Branch, Steering, budgeted, presets
from mnemon.agent.decoding.steering import Floats, StepView, Term
from mnemon.agent.decoding.traits import TRAITS, trait

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
OURS_WITH_TEXTS = "mnemon with texts"
BUDGETS = (0.04, 0.1, 0.2)  # the default, and more
ALPHAS = (0.5, 1.0, 2.0)  # the sweep for logit rectification
NUDGES = (0.25, 0.5, 1.0, 2.0)  # of StyleVector


class _Sum:
    """A trait's rules as the one reward that ARGS and PANDA take, in the rules' own units."""

    branches = ()

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms, self._unit = terms, max(abs(term.weight) for term in terms)

    def score(self, view: StepView) -> Floats:
        parts = [term.reward.score(view) * (term.weight / self._unit) for term in self._terms]  # type: ignore[union-attr]
        total: Floats = np.sum(parts, axis=0)
        return total


def methods(
    name: str, model: LocalChatModel, prompts: Sequence[str]
) -> Iterator[tuple[str, float, Steering | SteeringFor]]:
    """Name, strength and steering of every point of a trait's curves."""
    yield from _by_rules(name, model.codec.end_ids, prompts)
    yield from _by_instructions(name)
    yield from _by_history(name, model)
    yield from _by_rules_and_history(name, model, prompts)


def _by_rules(
    name: str, end_ids: frozenset[int], prompts: Sequence[str]
) -> Iterator[tuple[str, float, SteeringFor]]:
    @cache
    def terms(place: int) -> list[Term]:
        return trait(name, end_ids=end_ids, asked=prompts[place])

    def made(steer: Callable[[list[Term]], Steering]) -> SteeringFor:
        return lambda place: steer(terms(place))

    for epsilon in BUDGETS:
        yield (
            OURS,
            epsilon,
            made(lambda rules, e=epsilon: budgeted([*rules, presets.on_topic()], epsilon=e)),  # type: ignore[misc]
        )
    for weight in (1.5, 4.0):
        yield "ARGS", weight, made(lambda rules, w=weight: presets.args(_Sum(rules), weight=w))  # type: ignore[misc]
    for cost in (1.0, 0.25):
        yield "PANDA", cost, made(lambda rules, c=cost: presets.panda(_Sum(rules), cost=c))  # type: ignore[misc]
    for most in (0.25, 1.0):
        lambdas = (0.0, most / 2, most)
        yield (
            "PANDA as printed",
            most,
            made(lambda rules, s=lambdas: presets.panda_as_printed(_Sum(rules), s)),  # type: ignore[misc]
        )


def _by_instructions(name: str) -> Iterator[tuple[str, float, Steering]]:
    persona = Branch(name=name, instruction=TRAITS[name].about)
    opposite = Branch(name=f"not {name}", instruction=MEASURE_OF[name][1])
    for alpha in ALPHAS:
        yield "experts", alpha, presets.proxy_tuning(persona, opposite, alpha)
    for gamma in (0.5, 1.0, 2.0):
        yield "guidance", gamma, presets.classifier_free_guidance(persona, gamma)
    yield "AMULET", 4.65, presets.amulet(persona)
    for weight in (0.5, 1.5):
        yield "PAD", weight, presets.pad(persona, weight=weight)
    yield "CoPe", 0.1, presets.cope(persona, Branch(name="base"))
    yield "contrastive decoding", 1.0, presets.contrastive_decoding(opposite)


def _by_history(name: str, model: LocalChatModel) -> Iterator[tuple[str, float, Steering]]:
    for strength in NUDGES:
        yield "StyleVector", strength, presets.styled(_style(name, model, strength))


def _by_rules_and_history(
    name: str, model: LocalChatModel, prompts: Sequence[str]
) -> Iterator[tuple[str, float, SteeringFor]]:
    style = presets.own_style(_style(name, model, 0.5))
    for epsilon in BUDGETS:

        def steer(place: int, epsilon: float = epsilon) -> Steering:
            rules = trait(name, end_ids=model.codec.end_ids, asked=prompts[place])
            return budgeted([*rules, presets.on_topic(), style], epsilon=epsilon)

        yield OURS_WITH_TEXTS, epsilon, steer


def _style(name: str, model: LocalChatModel, strength: float) -> str:
    key = f"{name} × {strength}"
    if key not in model.rows.adapters:
        model.add_style(key, real=HISTORIES[name], generic=PLAINLY, strength=strength)
    return key
